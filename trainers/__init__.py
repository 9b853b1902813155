"""Make the stages that are compared: one file per method. Those that train are a `Method` for `stage`, and `data`
streams their tokens.

pretrain    transformers' Trainer on packed documents
sft         TRL's SFTTrainer on instructions, conversations and completions
dpo         TRL's DPOTrainer on preference pairs
kto         TRL's KTOTrainer on answers that are marked as good or bad
grpo        TRL's GRPOTrainer on prompts with verifiable answers; `rewards` checks them
average     no training: the mean of checkpoints, or an EMA over them; its parts are in `averaging`
"""
