"""From sources to tokens: how the data of a stage file reach the trainer.

    sources -> raw records -> training records -> encoded records -> mixture (stream of examples) -> trainer

What one instruction becomes on this way, in a stage of `sft` with ``sources: {text: {path: alpaca.jsonl, format:
instruction}}``; token ids are shortened, ``-100`` is a label without loss:

    source            text: alpaca.jsonl                                   `spec`, then `opening` and `sources`
    raw record        {"instruction": "2 and 2?", "input": "", "output": "4"}, "alpaca.jsonl, line 1"       `readers`
    training record   {"prompt": [{"role": "user", "content": "2 and 2?"}],
                       "completion": [{"role": "assistant", "content": "4"}]}                               `formats`
    encoded record    {"input_ids": [9, 4, 7, 2], "labels": [-100, -100, 7, 2]}, tokens 4                   `encoding`
    training example  the same columns, and phase 0, sources ("text",)                                      `mixture`
    ledger            tokens [[4]]: 4 tokens in phase 0 from source 0                                       `ledger`
    trainer           reads the examples in this order                                              `stream_dataset`

With packing, one example holds the tokens of several records: ``seq_lengths [4, 60]`` says where they begin.

Other files: `schedules` (shares of the sources over the stage), `source_iterator` (one source's place in the stream),
`hub_reader` and `task_reader` (sources that are not files), `examples` (the types between encoder and mixture).
"""
