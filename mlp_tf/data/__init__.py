"""Data: from a name to what each replica sees in an epoch."""

from mlp_tf.data.feed import Feed, batches
from mlp_tf.data.loading import load
from mlp_tf.data.new_rows import new_rows
from mlp_tf.data.sources import located
from mlp_tf.data.splits import Shard, Split, Splits

__all__ = ["Feed", "Shard", "Split", "Splits", "batches", "load", "located", "new_rows"]
