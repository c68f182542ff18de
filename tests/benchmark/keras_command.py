"""A script as a Keras user would write it: what `train` is measured against in commands.py."""

import keras
import tensorflow_datasets as tfds

if __name__ == "__main__":
    names = ["train[:55000]", "train[55000:]", "test"]
    splits = tfds.as_numpy(tfds.load("mnist", split=names, batch_size=-1))
    train, validation, test = (
        (split["image"].reshape(-1, 784).astype("float32") / 255, split["label"]) for split in splits
    )
    model = keras.Sequential(
        [
            keras.Input((784,)),
            keras.layers.Dense(256, activation="relu"),
            keras.layers.Dense(256, activation="relu"),
            keras.layers.Dense(10),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.001), loss, metrics=["accuracy"])
    model.fit(*train, batch_size=100, epochs=15, validation_data=validation, verbose=2)
    print("Accuracy:", model.evaluate(*test, verbose=0)[1])
