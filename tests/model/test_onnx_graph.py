"""What exports and variants share: graphs that name no machine, an exporter that is silent."""

import logging
import warnings

import onnx
import pytest
from onnx import TensorProto, helper

from model.onnx_graph import plain_bytes, quiet_exporter


def test_a_plain_graph_names_no_file_of_the_machine_that_exported_it():
    def value(name: str) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n"], "/home/somebody")

    node = helper.make_node("Relu", ["x"], ["y"], doc_string="/home/somebody")
    node.metadata_props.add(key="stack", value="/home/somebody")
    graph = helper.make_graph([node], "main", [value("x")], [value("y")])
    graph.metadata_props.add(key="file", value="/home/somebody")
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    proto.metadata_props.add(key="file", value="/home/somebody")
    plain = plain_bytes(proto)
    assert b"somebody" not in plain
    assert [each.op_type for each in onnx.load_from_string(plain).graph.node] == ["Relu"]


def test_a_graph_that_is_none_is_refused():
    node = helper.make_node("Relu", ["x"], ["y"])
    proto = helper.make_model(helper.make_graph([node], "main", [], []))
    with pytest.raises(onnx.checker.ValidationError):
        plain_bytes(proto)


def test_the_exporter_is_heard_again_afterwards_even_after_a_fault():
    exporter_log = logging.getLogger("torch.onnx")
    level = exporter_log.level
    with quiet_exporter():
        assert not exporter_log.isEnabledFor(logging.WARNING)
        warnings.warn("deprecated", stacklevel=1)  # an error, were it heard
    with pytest.raises(KeyError), quiet_exporter():
        raise KeyError
    assert exporter_log.level == level
