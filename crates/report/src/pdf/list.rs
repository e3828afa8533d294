//! Lists that may have more items than there is room for.

use super::rows::{Row, height};

/// A list between its title and its end.
pub struct List {
    pub title: Vec<Row>,
    pub items: Vec<Vec<Row>>,
    /// In place of so many items that did not fit.
    pub more: Box<dyn Fn(usize) -> Vec<Row>>,
    pub end: Vec<Row>,
}

/// A list as far as it fits.
pub struct Fitted {
    pub title: Vec<Row>,
    pub rows: Vec<Row>,
    pub end: Vec<Row>,
}

impl List {
    /// The items that fit, and a line that says how many do not.
    pub fn within(self, room: f32) -> Fitted {
        let List { title, items, more, end } = self;
        let all = items.len();
        if all == 0 || items.iter().map(|item| height(item)).sum::<f32>() <= room {
            return Fitted { title, rows: items.concat(), end };
        }
        let mut rows = Vec::new();
        let mut shown = 0;
        let mut left = room - height(&more(all));
        for item in items {
            left -= height(&item);
            if left < 0.0 {
                break;
            }
            rows.extend(item);
            shown += 1;
        }
        rows.extend(more(all - shown));
        Fitted { title, rows, end }
    }
}

impl Default for List {
    /// Nothing, without a title.
    fn default() -> List {
        let more = Box::new(|_: usize| -> Vec<Row> { Vec::new() });
        List { title: Vec::new(), items: Vec::new(), more, end: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(count: usize) -> List {
        let items = (0..count).map(|_| vec![Row::gap(10.0)]).collect();
        List { items, more: Box::new(|left| vec![Row::gap(left as f32)]), ..List::default() }
    }

    #[test]
    fn what_does_not_fit_is_counted() {
        let heights = |count: usize, room: f32| -> Vec<f32> {
            list(count).within(room).rows.iter().map(|row| row.height).collect()
        };
        assert_eq!(heights(3, 30.0), [10.0, 10.0, 10.0]);
        assert_eq!(heights(3, 29.0), [10.0, 10.0, 1.0]);
        assert_eq!(heights(4, 5.0), [4.0]);
        assert_eq!(heights(2, -20.0), [2.0]);
        assert!(heights(0, -20.0).is_empty());
    }
}
