"""SAN of mmseg, tiny, with a packaged CLIP whose class token has learned.

Widths are those of projects/mixing/configs/_base_/san.py, losses those of mmseg's SAN.
Train and test: python tools/leaderboard.py --benchmark shapeworld --rows SAN
"""

_base_ = [
    '../../../../configs/_base_/datasets/shapeworld_zs.py',
    '../../../../configs/_base_/schedules/deop_tiny.py',
    '../../../../configs/_base_/default_runtime.py',
]
custom_imports = dict(imports='projects.shapeworld.side_adapter')
clip = dict(model_name='tiny-vit-whole', pretrained='shapeworld')
num_seen, num_queries = 47, 20

model = dict(
    type='SideAdapterSegmentor',
    data_preprocessor=dict(
        type='ImgDataPreprocessor',
        bgr_to_rgb=True,
        pad_size_divisor=32,
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
    ),
    backbone=dict(
        type='CLIPViTBackbone',
        interpolate_mode='bicubic',
        out_indices=[1, 2, 3],
        out_origin=True,
        output_cls_token=True,
        **clip,
    ),
    resolution=0.75,  # 96 pixels of 128, the size that CLIP learned with
    head=dict(
        num_classes=num_seen,
        deep_supervision_idxs=[3],
        san_cfg=dict(
            in_channels=3,
            clip_channels=96,
            embed_dims=48,
            patch_size=8,
            patch_bias=True,
            num_queries=num_queries,
            cfg_encoder=dict(num_encode_layer=4, num_heads=3, mlp_ratio=4),
            fusion_index=[0, 1, 2, 3],
            cfg_decoder=dict(
                num_heads=3,
                num_layers=1,
                embed_channels=32,
                mlp_channels=32,
                num_mlp=3,
                rescale=True,
            ),
            norm_cfg=dict(type='LN', eps=1e-6),
        ),
        maskgen_cfg=dict(  # the last two blocks of CLIP
            sos_token_format='cls_token',
            sos_token_num=num_queries,
            cross_attn=False,
            num_layers=2,
            embed_dims=96,
            num_heads=3,
            mlp_ratio=4,
            qkv_bias=True,
            out_dims=64,
            final_norm=True,
            act_cfg=dict(type='QuickGELU'),
            norm_cfg=dict(type='LN', eps=1e-5),
            frozen_exclude=[],
        ),
        align_corners=False,
        train_cfg=dict(
            num_points=1024,
            oversample_ratio=3.0,
            importance_sample_ratio=0.75,
            assigner=dict(
                type='HungarianAssigner',
                match_costs=[
                    dict(type='ClassificationCost', weight=2.0),
                    dict(type='CrossEntropyLossCost', weight=5.0, use_sigmoid=True),
                    dict(type='DiceCost', weight=5.0, pred_act=True, eps=1.0),
                ],
            ),
        ),
        loss_decode=[
            dict(
                type='CrossEntropyLoss',
                loss_name='loss_cls_ce',
                loss_weight=2.0,
                class_weight=[1.0] * num_seen + [0.1],
            ),
            dict(
                type='CrossEntropyLoss',
                use_sigmoid=True,
                loss_name='loss_mask_ce',
                loss_weight=5.0,
            ),
            dict(
                type='DiceLoss',
                ignore_index=None,
                naive_dice=True,
                eps=1,
                loss_name='loss_mask_dice',
                loss_weight=5.0,
            ),
        ],
    ),
    text_classifier=dict(type='TextClassifier', void_std=64**-0.5, **clip),
    fusion=dict(
        type='MaskFusion', panoptic=False, instance=False, resize_probabilities=True
    ),
    train_vocabulary=_base_.train_vocabulary,
    test_vocabulary=_base_.vocabulary,
)
