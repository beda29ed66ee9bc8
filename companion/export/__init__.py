"""From a torch module to an ONNX file that a page runs."""

from companion.export.decoder import ExportedDecoder, export_decoder

__all__ = ["ExportedDecoder", "export_decoder"]
