"""Proposals of DeOP by mmdet's own MaskFormer head; needs mmcv with compiled ops."""

model = dict(
    type='ZeroShotMaskFormer',
    # ImageNet statistics for both streams, not CLIP's: released code.
    data_preprocessor=dict(
        type='ImgDataPreprocessor',
        bgr_to_rgb=True,
        pad_size_divisor=32,
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
    ),
    proposals=dict(
        type='MMDetProposals',
        backbone=dict(
            type='ResNetV1c',
            depth=50,
            norm_cfg=dict(type='BN', requires_grad=False),
            norm_eval=True,
            zero_init_residual=False,  # frozen norms would stay zero
            init_cfg=dict(type='Pretrained', checkpoint='open-mmlab://resnet50_v1c'),
        ),
        # The same layers as MaskFormerProposals: no encoder in the pixel decoder.
        head=dict(
            type='mmdet.MaskFormerHead',
            feat_channels=256,
            out_channels=256,
            num_things_classes=1,  # not used: proposals have no class
            num_stuff_classes=0,
            num_queries=100,
            enforce_decoder_input_project=True,
            pixel_decoder=dict(
                type='PixelDecoder',
                norm_cfg=dict(type='GN', num_groups=32),
                act_cfg=dict(type='ReLU'),
            ),
            positional_encoding=dict(num_feats=128, normalize=True),
            transformer_decoder=dict(
                num_layers=6,
                layer_cfg=dict(
                    self_attn_cfg=dict(embed_dims=256, num_heads=8, dropout=0.1),
                    cross_attn_cfg=dict(embed_dims=256, num_heads=8, dropout=0.1),
                    ffn_cfg=dict(
                        embed_dims=256, feedforward_channels=2048, ffn_drop=0.1
                    ),
                ),
                return_intermediate=True,
            ),
            # mmdet builds its losses, though ours is used.
            loss_cls=dict(type='CrossEntropyLoss', class_weight=[1.0, 0.1]),
            loss_mask=dict(type='FocalLoss', use_sigmoid=True),
            loss_dice=dict(type='DiceLoss', use_sigmoid=True, activate=True),
        ),
    ),
    # No class term: the paper. Weights: released code.
    criterion=dict(type='ProposalLoss', mask_weight=20.0, dice_weight=1.0),
    fusion=dict(
        type='MaskFusion',
        panoptic=False,
        instance=False,
        proposals=True,
        resize_probabilities=True,
    ),
)
