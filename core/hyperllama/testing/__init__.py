"""The testing kit of plugin authors: contract suites, fakes, fixtures. Needs pytest; the gateway never imports it.

==================  ============================================================
``loading``         base of the next three: the engine, the model, and the model loaded
``engine``          ``EngineContract``: tests that every engine passes
``embeddings``      ``EmbeddingContract``: those of an engine whose models make vectors
``batches``         ``BatchContract``: those of an engine that runs whole batches
``protocol``        ``ProtocolContract``: tests that every dialect passes
``fakes``           a gateway in memory
``serving``         a dialect alone, over a real socket
``running``         the real command as a process of its own
``child``           a gateway or another server started for a measurement
``processes``       processor time, memory, threads and ports of processes
``models``          the folder of a configured model's files
``hostile``         JSON made to break parsers
``chunks``          texts as engines stream them, for transforms and encoders
``fixtures``        ``hyperllama_gateway``, ``hyperllama_config``, ``hyperllama_caller``; loaded by pytest itself
==================  ============================================================
"""
