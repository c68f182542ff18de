"""A multilayer perceptron in low-level TensorFlow, without Keras.

The modules, lowest rank first. A module imports only modules of a lower rank and, within a subpackage, only files
listed before it; so each can be read knowing just those above it here.

    rank 0
      model.py            the network as pure functions of (x, weights, biases), and its loss
      base/               what every rank may use
        text.py           text made printable, or shortened
        files.py          atomic writes, safe reads, the JSON files of a run
        machine.py        memory, processor, threads
    rank 1
      config.py           every setting, defined once: range, default, help text
      figures/            arrays to matplotlib figures
        style.py          size, text, colors, legend; a figure written to a file
        images.py         images in a grid, the first layer among them
        example.py        one example and its probabilities
        confusion.py      the confusion matrix
        curves.py         cost and accuracy over the epochs
        layers.py         histograms of each layer
        sweep.py          accuracy over the settings that vary
      distribute/         devices and workers
        tf_config.py      this worker's task, from TF_CONFIG
        meeting.py        the workers' meeting before TensorFlow connects them
        cluster.py        the strategy, and the collectives
    rank 2
      regularization.py   dropout; the optimizer, with weight decay and max-norm
    rank 3
      loop.py             the loop: State, train_step, compile_steps, fit, evaluate
      data/               from a dataset name to what each replica sees in an epoch
        scaling.py        standardized features
        splits.py         Source, Split, Splits, Shard
        augmentation.py   images set upright, and distorted
        labels.py         which class a label is
        sample.py         5,000 real MNIST images that need no network
        scan.py           hashes and suspicious values of the user's data
        npz.py            the user's arrays
        csv_file.py       a table in a .csv file, as a data frame
        tables.py         the user's table
        image_folder.py   the user's images, a folder for each class
        idx.py            the user's IDX files, as MNIST is published
        tfds.py           sets of tensorflow-datasets
        sources.py        which source a name is
        layout.py         whether the user's examples are images or features
        held_out.py       validation and test splits of the user's data
        loading.py        load(name): checked, fingerprinted Splits
        new_rows.py       rows that come after training, as a run takes them
        feed.py           Feed: what each replica sees in an epoch, placed on its device
      cli/                what every command shares
        streams.py        stdout and stderr that cannot be written
        signals.py        SIGINT and SIGTERM as a request to stop
        command.py        run a command: flags, one line for a mistake, exit code
        flags.py          the absl flags of Config, and those that commands share
        quiet.py          TensorFlow imported without its messages; the progress bar
    rank 4
      handwriting/        from a photo or drawing of a digit to an example
        ink.py            where ink is on paper
        images.py         a user's image file, prepared as MNIST was
    rank 5
      runs/               a run on disk, and its life
        identity.py       what defines a run; may it start or resume?
        checkpoint.py     save, newest, verify, restore
        folder.py         a run's folder and its lock
        table.py          the runs in a folder, compared
        events.py         event files for TensorBoard
        program.py        compiled loops, used again by later runs
        run.py            a run's life: open, train, save, stop, results
        trained.py        a trained run, read back; ensembles
    rank 6, the commands
      show_data.py        a dataset as training sees it
      train.py            train a network, or resume a run
      evaluate.py         cost, accuracy, confusion matrix
      predict.py          the class of image files
      plot.py             curves and weights
      layers.py           what each layer does
      by_hand.py          a step in NumPy: forward pass, backward pass, Adam
      draw.py             a page to draw on, from handwriting/page/
      export.py           a SavedModel
      sweep.py            train several networks, and compare them
      __main__.py         the list of the commands

Importing this package imports nothing else; only the modules that compute import TensorFlow.
"""

__version__ = "1.0.0"


class UserError(ValueError):
    """A mistake that the reader can fix: names the value seen, the values allowed, and what to do."""
