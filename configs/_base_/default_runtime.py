"""Scope, hooks, logging and environment; nothing about a model or a schedule."""

default_scope = 'mmovseg'

default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=50, log_metric_by_epoch=False),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(
        type='AtomicCheckpointHook', by_epoch=False, interval=5000, max_keep_ckpts=3
    ),
    sampler_seed=dict(type='DistSamplerSeedHook'),
)
# A resumed run repeats an uninterrupted one: this hook seeds what an iteration draws,
# SeededSampler and SeedSample (in the data configs) what the pipeline draws. The other
# hook refuses datasets that call other classes things than the model does.
custom_hooks = [dict(type='SeedIterationHook'), dict(type='CheckThingsHook')]
randomness = dict(seed=0)

env_cfg = dict(
    cudnn_benchmark=False,
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    dist_cfg=dict(backend='nccl'),
)

log_level = 'INFO'
log_processor = dict(type='LogProcessor', window_size=50, by_epoch=False)
visualizer = dict(
    type='Visualizer', vis_backends=[dict(type='LocalVisBackend')], name='visualizer'
)

load_from = None
resume = False
