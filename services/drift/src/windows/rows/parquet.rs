//! Rows as Apache Parquet: one group of rows, not compressed, as whoever reads them over HTTP has that compressed on its way.

use std::sync::Arc;

use domain::{Error, ErrorKind, Result};
use parquet::basic::{ConvertedType, Repetition, Type as Physical};
use parquet::column::writer::ColumnWriter;
use parquet::data_type::ByteArray;
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use parquet::schema::types::{Type, TypePtr};

use super::{Column, Table};

/// What a value that is there, or missing, says of itself.
const THERE: i16 = 1;
const MISSING: i16 = 0;

impl Table {
    /// Numbers are the very same that CSV has, and moments are in milliseconds, in UTC.
    pub fn parquet(&self) -> Result<Vec<u8>> {
        self.written().map_err(unwritable)
    }

    fn written(&self) -> Result<Vec<u8>, ParquetError> {
        let fields = self.columns.iter().map(|(name, column)| column.field(name));
        let fields = fields.collect::<Result<Vec<_>, _>>()?;
        let schema = Arc::new(Type::group_type_builder("scans").with_fields(fields).build()?);
        let properties = Arc::new(WriterProperties::builder().build());
        let mut file = SerializedFileWriter::new(Vec::new(), schema, properties)?;
        // A group without a row has no page, and not every reader looks for that.
        if self.rows > 0 {
            self.write_group(&mut file)?;
        }
        file.into_inner()
    }

    fn write_group(&self, file: &mut SerializedFileWriter<Vec<u8>>) -> Result<(), ParquetError> {
        let mut group = file.next_row_group()?;
        for (_, column) in &self.columns {
            let Some(mut writer) = group.next_column()? else { break };
            column.write(&mut writer)?;
            writer.close()?;
        }
        group.close().map(drop)
    }
}

impl Column {
    fn field(&self, name: &str) -> Result<TypePtr, ParquetError> {
        let field = match self {
            Column::Text(_) => Type::primitive_type_builder(name, Physical::BYTE_ARRAY)
                .with_converted_type(ConvertedType::UTF8)
                .with_repetition(Repetition::OPTIONAL),
            Column::Moment(_) => Type::primitive_type_builder(name, Physical::INT64)
                .with_converted_type(ConvertedType::TIMESTAMP_MILLIS)
                .with_repetition(Repetition::REQUIRED),
            Column::Number(_) => Type::primitive_type_builder(name, Physical::DOUBLE)
                .with_repetition(Repetition::OPTIONAL),
        };
        Ok(Arc::new(field.build()?))
    }

    /// Values that are there, and of each row whether it has one.
    fn write(&self, writer: &mut SerializedColumnWriter) -> Result<(), ParquetError> {
        match (self, writer.untyped()) {
            (Column::Text(texts), ColumnWriter::ByteArrayColumnWriter(writer)) => {
                let there = texts.iter().filter(|text| !text.is_empty());
                let there: Vec<ByteArray> = there.map(|text| text.as_str().into()).collect();
                let levels: Vec<i16> = texts.iter().map(|text| level(!text.is_empty())).collect();
                writer.write_batch(&there, Some(&levels), None)?;
            }
            (Column::Moment(moments), ColumnWriter::Int64ColumnWriter(writer)) => {
                writer.write_batch(moments, None, None)?;
            }
            (Column::Number(numbers), ColumnWriter::DoubleColumnWriter(writer)) => {
                let there: Vec<f64> = numbers.iter().flatten().copied().collect();
                let levels: Vec<i16> = numbers.iter().map(|it| level(it.is_some())).collect();
                writer.write_batch(&there, Some(&levels), None)?;
            }
            _ => {
                return Err(ParquetError::General(
                    "a column is of another type than its field".to_owned(),
                ));
            }
        }
        Ok(())
    }
}

fn level(is_there: bool) -> i16 {
    if is_there { THERE } else { MISSING }
}

fn unwritable(error: ParquetError) -> Error {
    ErrorKind::Internal.error("rows are no Parquet").because(error)
}

#[cfg(test)]
mod tests {
    use parquet::file::reader::{FileReader, SerializedFileReader};
    use parquet::record::{Field, Row};

    use super::*;

    fn read(table: &Table) -> Vec<Vec<(String, Field)>> {
        let reader =
            SerializedFileReader::new(bytes::Bytes::from(table.parquet().unwrap())).unwrap();
        let rows = reader.get_row_iter(None).unwrap();
        let fields = |row: Row| -> Vec<(String, Field)> {
            row.get_column_iter().map(|(name, field)| (name.clone(), field.clone())).collect()
        };
        rows.map(|row| fields(row.unwrap())).collect()
    }

    #[test]
    fn what_is_read_back_is_what_was_written() {
        let texts = |texts: [&str; 3]| Column::Text(texts.map(str::to_owned).to_vec());
        let columns = vec![
            ("answer".to_owned(), texts(["found", "", "é, \"so\""])),
            ("completed_at".to_owned(), Column::Moment(vec![7, 1_700_000_000_000, -1])),
            ("mean".to_owned(), Column::Number(vec![Some(0.1), None, Some(1e-300)])),
            ("never".to_owned(), Column::Number(vec![None; 3])),
        ];
        let text = |text: &str| Field::Str(text.to_owned());
        let expected = [
            [text("found"), Field::TimestampMillis(7), Field::Double(0.1), Field::Null],
            [Field::Null, Field::TimestampMillis(1_700_000_000_000), Field::Null, Field::Null],
            [text("é, \"so\""), Field::TimestampMillis(-1), Field::Double(1e-300), Field::Null],
        ];
        let found = read(&Table { rows: 3, columns });
        let names: Vec<_> = found[0].iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["answer", "completed_at", "mean", "never"]);
        let fields = |row: Vec<(String, Field)>| -> Vec<Field> {
            row.into_iter().map(|(_, field)| field).collect()
        };
        let found: Vec<Vec<Field>> = found.into_iter().map(fields).collect();
        assert_eq!(found, expected.map(Vec::from));
    }

    #[test]
    fn no_scans_are_a_file_of_columns_alone() {
        let table = Table::new(Vec::new()).unwrap();
        let reader =
            SerializedFileReader::new(bytes::Bytes::from(table.parquet().unwrap())).unwrap();
        let about = reader.metadata().file_metadata();
        assert_eq!(
            (about.num_rows(), about.schema_descr().num_columns()),
            (0, super::super::COLUMNS.len())
        );
        assert_eq!(reader.metadata().num_row_groups(), 0);
    }
}
