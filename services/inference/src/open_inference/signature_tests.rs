use super::*;

fn signature(sides: &[usize], channels: usize, kinds: usize) -> Signature {
    Signature { sides: sides.to_vec(), channels, kinds }
}

fn input(shape: &[i64], values: Vec<f32>) -> Input {
    let (name, datatype) = (TILE.to_owned(), FP32.to_owned());
    Input { name, datatype, shape: shape.to_vec(), contents: Contents::Values(values) }
}

fn refusal(signature: &Signature, inputs: Vec<Input>) -> String {
    let error = signature.tiles(inputs).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    error.to_string()
}

#[test]
fn three_channels_are_the_slice_with_its_neighbours() {
    let values: Vec<f32> = (0..24).map(|i| i as f32).collect();
    let tiles = signature(&[2], 3, 0).tiles(vec![input(&[2, 2, 2, 3], values)]).unwrap();
    assert_eq!(tiles.len(), 2);
    assert_eq!(tiles[0].pixels, [1.0, 4.0, 7.0, 10.0]);
    let neighbours = [Some(vec![12.0, 15.0, 18.0, 21.0]), Some(vec![14.0, 17.0, 20.0, 23.0])];
    assert_eq!(tiles[1].neighbours, neighbours);
    assert_eq!(tiles[1].placement.side, 2);
    let alone = signature(&[2], 1, 0).tiles(vec![input(&[1, 2, 2, 1], vec![0.5; 4])]).unwrap();
    assert_eq!((&alone[0].pixels, &alone[0].neighbours), (&vec![0.5; 4], &[None, None]));
}

#[test]
fn bytes_are_little_endian_numbers() {
    let bytes: Vec<u8> = [1.5f32, -1.0, 3.0, 0.25].iter().flat_map(|v| v.to_le_bytes()).collect();
    let raw = |bytes: Vec<u8>| Input {
        contents: Contents::Raw(bytes.into()),
        ..input(&[1, 2, 2, 1], Vec::new())
    };
    let signature = signature(&[2], 1, 0);
    let tiles = signature.tiles(vec![raw(bytes.clone())]).unwrap();
    assert_eq!(tiles[0].pixels, [1.5, -1.0, 3.0, 0.25]);
    let tensor = Tensor { name: TILE, shape: vec![4], values: tiles[0].pixels.clone() };
    assert_eq!(tensor.raw(), bytes);
    assert!(refusal(&signature, vec![raw(bytes[1..].to_vec())]).contains("15 bytes"));
    assert!(refusal(&signature, vec![raw(bytes[4..].to_vec())]).contains("3 values"));
}

#[test]
fn what_is_no_tile_of_the_model_is_refused_by_what_is_wrong_with_it() {
    let signature = signature(&[2, 4], 1, 0);
    let good = || input(&[1, 2, 2, 1], vec![0.0; 4]);
    let shaped = |shape: &[i64]| input(shape, vec![0.0; 4]);
    let holding = |value: f32| input(&[1, 2, 2, 1], vec![0.0, 0.0, value, 0.0]);
    let cases = [
        (vec![], "0 inputs"),
        (vec![good(), good()], "2 inputs"),
        (vec![Input { name: "image".into(), ..good() }], "no input `image`"),
        (vec![Input { datatype: "FP16".into(), ..good() }], "is FP16 where it must be FP32"),
        (vec![shaped(&[2, 2, 1])], "[N, side, side, 1]"),
        (vec![shaped(&[0, 2, 2, 1])], "N one or more"),
        (vec![shaped(&[-1, 2, 2, 1])], "N one or more"),
        (vec![shaped(&[1, 1, 4, 1])], "one of [2, 4]"),
        (vec![shaped(&[1, 3, 3, 1])], "one of [2, 4]"),
        (vec![shaped(&[1, 2, 2, 3])], "[N, side, side, 1]"),
        (vec![shaped(&[i64::MAX, 2, 2, 1])], "not those of its shape"),
        (vec![shaped(&[2, 2, 2, 1])], "has 4 values"),
        (vec![holding(f32::NAN)], "no number"),
        (vec![holding(f32::INFINITY)], "beyond 1000"),
        (vec![holding(-1e38)], "beyond 1000"),
    ];
    for (inputs, words) in cases {
        let said = refusal(&signature, inputs);
        assert!(said.contains(words), "{said} without {words}");
    }
    assert_eq!(signature.tiles(vec![good()]).unwrap().len(), 1);
}

#[test]
fn outputs_come_as_asked_for_and_all_where_none_is_named() {
    let (with, without) = (signature(&[2], 3, 2), signature(&[2], 3, 0));
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let both = vec![Output::Kind, Output::Probability];
    assert_eq!(with.asked(&names(&[KIND, PROBABILITY])).unwrap(), both);
    assert_eq!(with.asked(&[]).unwrap(), [Output::Probability, Output::Kind]);
    assert_eq!(without.asked(&[]).unwrap(), [Output::Probability]);
    for (signature, asked) in
        [(&without, vec![KIND]), (&with, vec!["mask"]), (&with, vec![KIND, KIND])]
    {
        let error = signature.asked(&names(&asked)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.to_string().contains(asked[0]), "{error}");
    }
}

#[test]
fn predictions_become_tensors_in_the_order_of_their_tiles() {
    let signature = signature(&[2], 3, 2);
    let seen = |p: f32| TilePrediction {
        probabilities: vec![p; 4],
        kinds: vec![p, 1.0 - p],
        ..TilePrediction::default()
    };
    let tensors = signature
        .tensors(&[Output::Kind, Output::Probability], vec![seen(0.25), seen(1.0)])
        .unwrap();
    let kind = Tensor { name: KIND, shape: vec![2, 2], values: vec![0.25, 0.75, 1.0, 0.0] };
    let probabilities = [vec![0.25; 4], vec![1.0; 4]].concat();
    let probability = Tensor { name: PROBABILITY, shape: vec![2, 2, 2], values: probabilities };
    assert_eq!(tensors, [kind, probability]);
    let without = TilePrediction { kinds: Vec::new(), ..seen(0.5) };
    let error = signature.tensors(&[Output::Kind], vec![without]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Internal);
}

#[test]
fn a_side_is_told_where_there_is_one() {
    let (one, two) = (signature(&[256], 3, 4), signature(&[192, 256], 1, 0));
    assert_eq!(one.input_shape(), [-1, 256, 256, 3]);
    assert_eq!(two.input_shape(), [-1, -1, -1, 1]);
    assert_eq!(one.output_shape(Output::Probability), [-1, 256, 256]);
    assert_eq!(one.output_shape(Output::Kind), [-1, 4]);
    assert_eq!(two.told_sides(), "192,256");
}
