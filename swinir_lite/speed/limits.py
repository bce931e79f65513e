"""How large a network may be for each kernel; read without Triton (chapter 17)."""

CHUNK = 64  # channels that an inference kernel holds as one tile

# Attention. Tiles of larger windows or heads do not fit on the chip of every GPU,
# above all those of a backward pass in float32
MAX_WINDOW = 8  # side, in tokens
MAX_HEAD_DIM = 32  # channels

# Training: a program holds all weights of a layer on chip, and a spare channel
MAX_TRAINING_CHANNELS = 63
MAX_TRAINING_HIDDEN = 127

# Inference: four chunks, of which one channel is spare
MAX_INFERENCE_CHANNELS = 4 * CHUNK - 1
MAX_INFERENCE_CHANNELS_FLOAT32 = CHUNK - 1  # more do not fit into registers

# What features between layers are multiplied by in float16, whose range ends at 65,504:
# those of shipped networks reach 460,000. Norms, which all layers begin with, undo it
FLOAT16_SCALE = 2.0**-6

# Compute capability from which on Triton uses tensor cores. Below, on a T4 (7.5), its
# kernels compile to multiplications one by one: for attention, which is bound by bytes,
# still the quickest form by far, but not for linear layers
FIRST_WITH_TENSOR_CORES = (8, 0)  # and the first with bfloat16
FIRST_WITH_FLOAT16 = (7, 0)  # on tensor cores, by PyTorch's libraries
