//! The network as OpenVINO's intermediate representation (IR, version 11): layers and edges as XML, and one block of bytes
//! with all constants.

use std::convert::Infallible;
use std::fmt::{Display, Write};

use tch::{Kind, Tensor};

use crate::network::{Activation, Network, UnitId, Way};
use crate::weights::Folded;

/// Constants begin at multiples of so many bytes, which vectors of any processor are aligned to.
const ALIGNMENT: usize = 64;

/// The network as OpenVINO reads it: its constants, and where in them those of each unit are.
pub struct Graph {
    network: Network,
    constants: Vec<u8>,
    /// Of each unit the weight and the bias.
    units: Vec<[Constant; 2]>,
    channels_first: Constant,
    /// Sizes, which OpenVINO wants and does not read here, and scales.
    doubled: [Constant; 2],
    rows_and_columns: Constant,
}

/// A tensor among the constants.
#[derive(Clone)]
struct Constant {
    element_type: &'static str,
    shape: Vec<i64>,
    offset: usize,
    size: usize,
}

impl Graph {
    /// The network with those weights.
    pub fn new(network: Network, units: &[Folded]) -> Graph {
        let mut constants = Vec::new();
        let units = units.iter().map(|Folded { weight, bias }| {
            let weight = weight.permute([0, 3, 1, 2]);
            [constant(&mut constants, &weight), constant(&mut constants, &bias.view([1, -1, 1, 1]))]
        });
        let units = units.collect();
        let mut numbers = |values: &[i64]| constant(&mut constants, &Tensor::from_slice(values));
        let channels_first = numbers(&[0, 3, 1, 2]);
        let sizes = numbers(&[0, 0]);
        let rows_and_columns = numbers(&[2, 3]);
        let scales = constant(&mut constants, &Tensor::from_slice(&[2.0f32, 2.0]));
        let doubled = [sizes, scales];
        Graph { network, constants, units, channels_first, doubled, rows_and_columns }
    }

    /// The bytes that the network has for images of any side; they are handed over once.
    pub fn take_constants(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.constants)
    }

    /// How images of that side go through the network: (N, S, S, C) in; the probabilities (N, 1, S, S) out, and the features
    /// of the bottleneck (N, F).
    pub fn xml(&self, images: usize, side: usize) -> String {
        let mut layers = Layers { graph: self, xml: String::new(), edges: String::new(), count: 0 };
        let channels = self.network.channels();
        let shape = format!("{images},{side},{side},{channels}");
        let data = [("shape", &shape as &dyn Display), ("element_type", &"f32")];
        let x = layers.layer("Parameter", "opset1", &[], &data);
        let order = layers.constant(&self.channels_first);
        let x = layers.layer("Transpose", "opset1", &[x, order], &[]);
        let mut way = Walk { layers, bottleneck: None };
        let Ok(logits) = self.network.pass(&x, &mut way);
        let Walk { mut layers, bottleneck } = way;
        let probabilities = layers.layer("Sigmoid", "opset1", &[logits], &[]);
        layers.result(probabilities);
        let bottleneck = bottleneck.expect("every image passes the bottleneck");
        let over = layers.constant(&self.rows_and_columns);
        let features =
            layers.layer("ReduceMean", "opset1", &[bottleneck, over], &[("keep_dims", &false)]);
        layers.result(features);
        let Layers { xml, edges, .. } = layers;
        format!(
            "<?xml version=\"1.0\"?><net name=\"medseg\" version=\"11\"><layers>{xml}</layers><edges>{edges}</edges></net>"
        )
    }
}

/// Adds a tensor to the constants, in f32 or, of whole numbers, in i64.
fn constant(constants: &mut Vec<u8>, tensor: &Tensor) -> Constant {
    let tensor = tensor.contiguous();
    let element_type = if tensor.kind() == Kind::Int64 { "i64" } else { "f32" };
    constants.resize(constants.len().next_multiple_of(ALIGNMENT), 0);
    let offset = constants.len();
    let size = tensor.numel() * tensor.kind().elt_size_in_bytes();
    constants.resize(offset + size, 0);
    tensor.copy_data_u8(&mut constants[offset..], tensor.numel());
    Constant { element_type, shape: tensor.size(), offset, size }
}

/// The output of a layer: its number, and that of its port.
#[derive(Clone, Copy)]
struct Port {
    layer: usize,
    port: usize,
}

/// The layers so far.
struct Layers<'a> {
    graph: &'a Graph,
    xml: String,
    edges: String,
    count: usize,
}

impl Layers<'_> {
    /// Adds a layer with those inputs and attributes, and one output.
    fn layer(
        &mut self,
        kind: &str,
        opset: &str,
        inputs: &[Port],
        data: &[(&str, &dyn Display)],
    ) -> Port {
        let output = Port { layer: self.count, port: inputs.len() };
        let port = output.port;
        let out = format!("<output><port id=\"{port}\" precision=\"FP32\"/></output>");
        self.add(kind, opset, inputs, data, &out);
        output
    }

    /// Hands out what comes from there, after what was handed out before.
    fn result(&mut self, from: Port) {
        self.add("Result", "opset1", &[from], &[], "");
    }

    fn constant(&mut self, constant: &Constant) -> Port {
        let Constant { element_type, shape, offset, size } = constant;
        let shape = shape.iter().map(i64::to_string).collect::<Vec<_>>().join(",");
        let data: [(&str, &dyn Display); 4] =
            [("element_type", element_type), ("shape", &shape), ("offset", offset), ("size", size)];
        self.layer("Const", "opset1", &[], &data)
    }

    fn add(
        &mut self,
        kind: &str,
        opset: &str,
        inputs: &[Port],
        data: &[(&str, &dyn Display)],
        output: &str,
    ) {
        let id = self.count;
        self.count += 1;
        let mut text = format!(
            "<layer id=\"{id}\" name=\"{kind}{id}\" type=\"{kind}\" version=\"{opset}\"><data"
        );
        for (name, value) in data {
            // Strings have no errors.
            let _ = write!(text, " {name}=\"{value}\"");
        }
        text.push_str("/><input>");
        for (to, Port { layer, port }) in inputs.iter().enumerate() {
            let _ = write!(text, "<port id=\"{to}\"/>");
            let _ = write!(
                self.edges,
                "<edge from-layer=\"{layer}\" from-port=\"{port}\" to-layer=\"{id}\" to-port=\"{to}\"/>"
            );
        }
        self.xml += &text;
        self.xml += "</input>";
        self.xml += output;
        self.xml += "</layer>";
    }
}

/// An image's way, written down.
struct Walk<'a> {
    layers: Layers<'a>,
    bottleneck: Option<Port>,
}

impl Walk<'_> {
    fn sum(&mut self, a: Port, b: Port) -> Port {
        self.layers.layer("Add", "opset1", &[a, b], &[("auto_broadcast", &"numpy")])
    }

    fn rectified(&mut self, x: Port) -> Port {
        self.layers.layer("ReLU", "opset1", &[x], &[])
    }
}

impl Way for Walk<'_> {
    type Images = Port;
    type Error = Infallible;

    fn unit(&mut self, id: UnitId, x: &Port, activation: Activation) -> Result<Port, Infallible> {
        let graph = self.layers.graph;
        let unit = &graph.network.units()[id];
        let [weight, bias] = &graph.units[id];
        let [weight, bias] = [weight, bias].map(|constant| self.layers.constant(constant));
        let pair = |number: i64| format!("{number}, {number}");
        let (stride, padding) = (pair(unit.stride), pair(unit.kernel / 2));
        let data: [(&str, &dyn Display); 5] = [
            ("strides", &stride),
            ("dilations", &"1, 1"),
            ("pads_begin", &padding),
            ("pads_end", &padding),
            ("auto_pad", &"explicit"),
        ];
        let y = self.layers.layer("Convolution", "opset1", &[*x, weight], &data);
        let y = self.sum(y, bias);
        let y = match activation {
            Activation::Relu => self.rectified(y),
            Activation::None => y,
        };
        if id == graph.network.bottleneck() {
            self.bottleneck = Some(y);
        }
        Ok(y)
    }

    fn pooled(&mut self, x: &Port) -> Result<Port, Infallible> {
        let data: [(&str, &dyn Display); 6] = [
            ("strides", &"2, 2"),
            ("kernel", &"3, 3"),
            ("pads_begin", &"1, 1"),
            ("pads_end", &"1, 1"),
            ("rounding_type", &"floor"),
            ("auto_pad", &"explicit"),
        ];
        Ok(self.layers.layer("MaxPool", "opset1", &[*x], &data))
    }

    fn added(&mut self, y: Port, around: &Port) -> Result<Port, Infallible> {
        let sum = self.sum(y, *around);
        Ok(self.rectified(sum))
    }

    fn joined(&mut self, y: &Port, skip: Port) -> Result<Port, Infallible> {
        let graph = self.layers.graph;
        let [sizes, scales] = graph.doubled.each_ref().map(|it| self.layers.constant(it));
        let axes = self.layers.constant(&graph.rows_and_columns);
        let data: [(&str, &dyn Display); 8] = [
            ("mode", &"linear_onnx"),
            ("shape_calculation_mode", &"scales"),
            ("coordinate_transformation_mode", &"half_pixel"),
            ("nearest_mode", &"round_prefer_floor"),
            ("antialias", &"false"),
            ("pads_begin", &"0"),
            ("pads_end", &"0"),
            ("cube_coeff", &"-0.75"),
        ];
        let y = self.layers.layer("Interpolate", "opset4", &[*y, sizes, scales, axes], &data);
        Ok(self.layers.layer("Concat", "opset1", &[y, skip], &[("axis", &1)]))
    }

    fn shared(&self, x: &Port) -> Port {
        *x
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::Design;
    use crate::weights::tests::units;

    const TINY: Design = Design { width: 8, depths: [1, 1, 1, 1], neighbours: true };

    #[test]
    fn constants_are_aligned_and_lie_one_behind_the_other() {
        let graph = Graph::new(Network::new(TINY), &units(TINY));
        let mut end = 0;
        for Constant { shape, offset, size, .. } in graph.units.iter().flatten() {
            assert!(*offset >= end && offset.is_multiple_of(ALIGNMENT), "{offset} after {end}");
            assert_eq!(*size, 4 * shape.iter().product::<i64>() as usize);
            end = offset + size;
        }
        assert!(end <= graph.constants.len());
    }

    #[test]
    fn every_edge_goes_from_a_layer_that_is_there_to_a_later_one() {
        let graph = Graph::new(Network::new(TINY), &units(TINY));
        let xml = graph.xml(2, 64);
        let number = |edge: &str, name: &str| -> usize {
            let (_, rest) = edge.split_once(&format!("{name}=\"")).unwrap();
            rest.split('"').next().unwrap().parse().unwrap()
        };
        let edges: Vec<_> = xml.split("<edge ").skip(1).collect();
        assert!(edges.len() > 2 * graph.units.len());
        for edge in edges {
            assert!(number(edge, "from-layer") < number(edge, "to-layer"), "{edge}");
        }
        assert_eq!(xml.matches("type=\"Convolution\"").count(), graph.units.len());
        assert_eq!(xml.matches("type=\"Result\"").count(), 2);
        assert!(xml.contains("shape=\"2,64,64,3\""));
    }
}
