"""Mask2Former of transformers, tiny: what its config.json says."""

architecture = dict(
    model_type='mask2former',
    num_labels=47,  # the seen classes
    feature_size=64,
    mask_feature_size=64,
    hidden_dim=64,
    num_attention_heads=4,
    encoder_layers=2,
    encoder_feedforward_dim=128,
    decoder_layers=4,  # three, and the queries' own prediction
    dim_feedforward=128,
    num_queries=20,
    train_num_points=1024,
    no_object_weight=0.02,  # as in the tiny EOV-Seg
)
backbone_architecture = dict(
    model_type='resnet',
    embedding_size=24,
    hidden_sizes=[24, 48, 96, 128],
    depths=[1, 1, 1, 1],
    layer_type='basic',
    out_features=['stage1', 'stage2', 'stage3', 'stage4'],
)
