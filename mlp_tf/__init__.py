"""A multilayer perceptron in low-level TensorFlow, without Keras.

The modules, lowest rank first. An import goes only to a lower rank, and within a subpackage only to a file that stands
before it, so each file can be read knowing just those above it here.

    rank 0
      model.py            the network as pure functions of (x, weights, biases), and its cost
      base/               what every rank may use
        files.py          regular files: read if they are, written at once or not at all
        text.py           text made printable, or shortened
        machine.py        memory, processor, threads
        strict_json.py    JSON from outside, checked against types
    rank 1
      regularization.py   dropout, weight decay, bounded norms
      config.py           every setting once: default, range, JSON
      figures/            arrays to matplotlib figures
        style.py          size, text, colours, legend; a figure written to a file
        images.py         images in a grid, the first layer among them
        confusion.py      the confusion matrix
        curves.py         cost and accuracy over the epochs
        layers.py         histograms of each layer
        sweep.py          accuracy over what a sweep varies
      distribute/         devices and workers
        tf_config.py      this worker's task, by TF_CONFIG
        messages.py       what the workers say when they meet
        connections.py    who is connected to the chief
        rendezvous.py     the workers' meeting before TensorFlow connects them
        cluster.py        the strategy, and the collectives
    rank 2
      loop.py             the loop: State, train_step, compile_steps, fit, evaluate
      data/               from a name to what each replica sees in an epoch
        scaling.py        standardised examples
        splits.py         Rows, Source, Split, Splits, Shard
        labels.py         which class a label is
        sample.py         5,000 real MNIST images that need no network
        npz.py            the user's arrays
        tables.py         the user's table
        image_folder.py   the user's images, a folder for each class
        tfds.py           sets of tensorflow-datasets
        sources.py        which source a name is
        scan.py           the user's rows: hashes, and what looks wrong
        held_out.py       the user's rows, split by class
        loading.py        load(name): checked, fingerprinted Splits
        augmentation.py   images set upright, and distorted
        feed.py           Feed: what each replica sees in an epoch, placed on its device
      cli/                what every command shares
        streams.py        stdout and stderr that never end a command
        signals.py        SIGINT and SIGTERM as a request to stop
        parse.py          the words of a command line
        command.py        run a command: flags, one line for a mistake, exit code
        flags.py          the absl flags of Config
        quiet.py          TensorFlow imported without its chatter; the progress bar
    rank 3
      handwriting/        from a photo or drawing of a digit to an example
        ink.py            where ink is on paper
        images.py         a user's image file, prepared as MNIST was
    rank 4
      runs/               a run on disk, and its life
        files.py          the files of a run: JSON, digests, leftovers
        describe.py       what config.json and results.json say
        manifest.py       what a checkpoint says besides its variables
        checkpoint.py     save, newest, verify, restore
        lock.py           one process for a folder, one folder for the process
        folder.py         config.json, metrics.jsonl, results.json, checkpoints
        table.py          the runs in a folder, compared
        compatible.py     may this run go on with these settings, this data, this machine?
        tensorboard.py    event files
        start.py          start or resume
        training.py       a run's life: train, save, stop, results
        result.py         a run read back: its parameters, its data, its predictions
        committee.py      several runs that answer together
    rank 5, the commands
      train.py            train a network, or go on with a run
      sweep.py            train several, and compare them
      evaluate.py         cost, accuracy, confusion
      predict.py          the class of picture files
      layers.py           what each layer does
      export.py           a SavedModel
      plot.py             curves and weights
      draw.py             a page to draw on, from handwriting/page/
      show_data.py        a dataset as training sees it
      __main__.py         the list of the commands

Importing this package imports nothing else; only the modules that compute import TensorFlow.
"""

__version__ = "0.8.0"


class UserError(ValueError):
    """A mistake whose reader can mend it: says the value seen, the values allowed, and what to do."""
