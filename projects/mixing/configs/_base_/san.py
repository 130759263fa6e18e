"""A small SAN of mmseg without its image encoder, which has four blocks of six."""

# What mmseg fills from a checkpoint alone: to train, give both
# init_cfg=dict(type='Pretrained_Part', checkpoint=...) of mmseg's CLIP.
from_checkpoint = ['text_encoder', 'decode_head']
default_scope = 'mmseg'
num_classes = 5
model = dict(
    type='MultimodalEncoderDecoder',
    data_preprocessor=dict(
        type='SegDataPreProcessor', size_divisor=32, test_cfg=dict(size_divisor=32)
    ),
    asymetric_input=True,
    encoder_resolution=0.5,
    text_encoder=dict(
        type='CLIPTextEncoder',
        vocabulary=['dog', 'cat', 'kite', 'tree', 'grass'],
        templates=['a {}'],
        embed_dims=32,
        num_layers=1,
        num_heads=2,
        output_dims=64,
    ),
    decode_head=dict(
        type='SideAdapterCLIPHead',
        num_classes=num_classes,
        deep_supervision_idxs=[3],
        san_cfg=dict(
            in_channels=3,
            clip_channels=96,
            embed_dims=48,
            patch_size=16,
            patch_bias=True,
            num_queries=10,
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
        maskgen_cfg=dict(
            sos_token_format='cls_token',
            sos_token_num=10,
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
            num_points=64,
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
                class_weight=[1.0] * num_classes + [0.1],
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
    test_cfg=dict(mode='whole'),
)
