"""A small Mask2Former head of mmdet; channels and classes are up to the model."""

mask2former_head = dict(
    type='mmdet.Mask2FormerHead',
    strides=[4, 8, 16, 32],
    feat_channels=32,
    out_channels=32,
    num_queries=8,
    num_transformer_feat_level=3,
    pixel_decoder=dict(
        type='MSDeformAttnPixelDecoder',
        num_outs=3,
        norm_cfg=dict(type='GN', num_groups=4),
        act_cfg=dict(type='ReLU'),
        encoder=dict(
            num_layers=1,
            layer_cfg=dict(
                self_attn_cfg=dict(
                    embed_dims=32,
                    num_heads=4,
                    num_levels=3,
                    num_points=2,
                    batch_first=True,
                ),
                ffn_cfg=dict(embed_dims=32, feedforward_channels=32),
            ),
        ),
        positional_encoding=dict(num_feats=16, normalize=True),
    ),
    positional_encoding=dict(num_feats=16, normalize=True),
    transformer_decoder=dict(
        return_intermediate=True,
        num_layers=2,
        layer_cfg=dict(
            self_attn_cfg=dict(embed_dims=32, num_heads=4, batch_first=True),
            cross_attn_cfg=dict(embed_dims=32, num_heads=4, batch_first=True),
            ffn_cfg=dict(embed_dims=32, feedforward_channels=32),
        ),
    ),
    loss_cls=dict(
        type='CrossEntropyLoss', class_weight=[1.0] * 5 + [0.1], loss_weight=2.0
    ),
    loss_mask=dict(type='CrossEntropyLoss', use_sigmoid=True, loss_weight=5.0),
    loss_dice=dict(type='DiceLoss', use_sigmoid=True, activate=True, naive_dice=True),
)
