"""From a torch module to an ONNX file that a page runs."""

from companion.export.decoder import ExportedDecoder, export_decoder
from companion.export.model import ExportedModel, export_model

__all__ = ["ExportedDecoder", "ExportedModel", "export_decoder", "export_model"]
