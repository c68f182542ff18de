"""Data: reads, checks, splits and scales a dataset, and feeds it to training."""

from mlp_tf.data.feed import Feed, batches
from mlp_tf.data.loading import load
from mlp_tf.data.new_rows import labelled_rows, new_rows
from mlp_tf.data.sources import located
from mlp_tf.data.splits import Shard, Split, Splits

__all__ = ["Feed", "Shard", "Split", "Splits", "batches", "labelled_rows", "load", "located", "new_rows"]
