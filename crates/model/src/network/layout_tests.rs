use super::*;

const CPU: (Kind, tch::Device) = (Kind::Float, tch::Device::Cpu);

#[test]
fn a_pixel_stands_in_its_row_its_column_and_its_channel() {
    const SIDE: i64 = 4;
    let pixels: Vec<f32> = (0..2 * SIDE * SIDE * 3).map(|at| at as f32).collect();
    let x = images(&pixels, 3, SIDE as usize, Kind::Float, tch::Device::Cpu);
    assert_eq!(x.size(), [2, 3, SIDE, SIDE]);
    for [image, row, column, channel] in [[0, 0, 0, 1], [0, 0, 1, 0], [0, 1, 0, 2], [1, 3, 2, 1]] {
        let place = ((image * SIDE + row) * SIDE + column) * 3 + channel;
        assert_eq!(x.double_value(&[image, channel, row, column]), place as f64);
    }
}

#[test]
fn a_kernel_looks_up_with_its_first_row_and_left_with_its_first_column() {
    let unit = Unit { name: "unit".into(), inputs: 1, outputs: 1, kernel: 3, stride: 1 };
    let weight = Tensor::zeros(unit.shape(), CPU);
    let _ = weight.narrow(1, 0, 1).narrow(2, 1, 1).fill_(1.0);
    let _ = weight.narrow(1, 1, 1).narrow(2, 0, 1).fill_(10.0);
    let x = Tensor::zeros([1, 1, 8, 8], CPU);
    let _ = x.narrow(2, 2, 1).narrow(3, 5, 1).fill_(1.0);
    let y = unit.convolve(&x, &weight, None).unwrap();
    let value = |row: i64, column: i64| y.double_value(&[0, 0, row, column]);
    // Below the bright pixel it is the one above, to the right of it the one before.
    assert_eq!((value(3, 5), value(2, 6)), (1.0, 10.0));
    assert_eq!(y.sum(Kind::Float).double_value(&[]), 11.0, "and it is seen from nowhere else");
}

#[test]
fn a_stride_keeps_every_other_pixel_from_the_first_on() {
    let unit = Unit { name: "unit".into(), inputs: 1, outputs: 1, kernel: 1, stride: 2 };
    let pixels: Vec<f32> = (0..36).map(|at| at as f32).collect();
    let x = images(&pixels, 1, 6, Kind::Float, tch::Device::Cpu);
    let y = unit.convolve(&x, &Tensor::ones(unit.shape(), CPU), None).unwrap();
    let kept = Vec::<f32>::try_from(&y.contiguous().view([-1])).unwrap();
    assert_eq!(kept, [0.0, 2.0, 4.0, 12.0, 14.0, 16.0, 24.0, 26.0, 28.0]);
}

#[test]
fn what_is_seen_at_a_place_is_answered_at_that_place() {
    let network = Network::new(Design { width: 8, depths: [1, 1, 1, 1], neighbours: false });
    for (row, column) in [(9, 50), (40, 12), (33, 31)] {
        let mut pixels = vec![0.0; 64 * 64];
        pixels[row * 64 + column] = 1.0;
        let x = images(&pixels, 1, 64, Kind::Float, tch::Device::Cpu);
        let y = network.forward(&x, |id, x, _| {
            let unit = &network.units()[id];
            unit.convolve(x, &(Tensor::ones(unit.shape(), CPU) * 1e-3), None)
        });
        let brightest =
            y.unwrap().contiguous().view([-1]).argmax(0, false).int64_value(&[]) as usize;
        let off = (brightest / 64).abs_diff(row).max((brightest % 64).abs_diff(column));
        assert!(off <= 2, "{row}, {column}: {off} off");
    }
}
