"""What a plugin author tests with: contract suites, fakes, fixtures. Needs pytest; the gateway never imports it.

==================  ============================================================
``loading``         what the next three share: the engine, the model, and the model loaded
``engine``          ``EngineContract``: what every engine promises
``embeddings``      ``EmbeddingContract``: and one whose models make vectors
``batches``         ``BatchContract``: and one that runs whole batches
``protocol``        ``ProtocolContract``: what every dialect promises
``fakes``           a gateway in memory
``serving``         a dialect alone, over a real socket
``running``         the real command as a process of its own
``child``           a gateway or another server started for a measurement
``processes``       what processes use: time, memory, threads, ports
``models``          where the files of a configured model are
``hostile``         JSON made to break parsers
``chunks``          texts as engines stream them, for transforms and encoders
``fixtures``        ``hyperllama_gateway``, ``hyperllama_config``, ``hyperllama_caller``; loaded by pytest itself
==================  ============================================================
"""
