"""The lab: one ``aether.config.yaml`` becomes a running access network.

``config`` reads and checks the file, ``topology`` and ``processes`` say what it means, ``render`` writes what
each program is configured with, ``netns`` builds the network in namespaces of this machine, ``supervisor``
keeps the programs running, ``accessnode`` is the DSLAM or OLT of the lab, ``cli`` is the ``aether`` command.
The lab imports no other package of the project: it starts them as programs.
"""
