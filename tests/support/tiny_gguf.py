"""A GGUF file that is valid and as small as can be: it can be packaged, not run."""

from pathlib import Path

import gguf
import numpy as np


def write_tiny_gguf(path: Path) -> Path:
    """Write the header of a llama model and one tensor."""
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(2048)
    writer.add_embedding_length(4)
    writer.add_block_count(1)
    writer.add_head_count(1)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    writer.add_tensor("token_embd.weight", np.zeros((8, 4), dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
