"""The operators of Core ML, one file a family.

A kernel of an ML program has the operation's own argument names; one of a neural network takes the layer's parameters
and its inputs. Values that follow from the image are float32 tensors of TensorFlow, [batch, ...]; constants are NumPy
arrays. A kernel that cannot compute its arguments raises a ValueError; the caller adds the operator's name.
"""
