"""Train the stages that are compared: one file per method, each a `Method` for `stage`; `data` streams the tokens.

pretrain    transformers' Trainer on packed documents
sft         TRL's SFTTrainer on instructions, conversations and completions
dpo         TRL's DPOTrainer on preference pairs
kto         TRL's KTOTrainer on answers that are marked as good or bad
grpo        TRL's GRPOTrainer on prompts with verifiable answers; `rewards` checks them
"""
