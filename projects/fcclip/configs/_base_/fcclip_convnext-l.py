"""FC-CLIP: frozen CLIP ConvNeXt-L, pixel decoder and queries of Mask2Former."""

custom_imports = dict(imports=['projects.fcclip'])
clip = dict(model_name='convnext_large_d_320', pretrained='laion2b_s29b_b131k_ft_soup')
model = dict(
    type='EOVSeg',
    data_preprocessor=dict(  # CLIP's statistics
        type='ImgDataPreprocessor',
        bgr_to_rgb=True,
        pad_size_divisor=32,
        mean=[122.7709, 116.7460, 104.0937],
        std=[68.5005, 66.6322, 70.3232],
    ),
    backbone=dict(type='CLIPConvBackbone', **clip),
    text_classifier=dict(type='TextClassifier', templates='vild', **clip),
    spatial_backbone=None,
    # Layers and widths of both parts: Mask2Former's for COCO panoptic.
    neck=dict(
        type='MSDeformNeck',
        pixel_decoder=dict(
            type='mmdet.MSDeformAttnPixelDecoder',
            strides=[4, 8, 16, 32],
            feat_channels=256,
            out_channels=256,
            num_outs=3,
            norm_cfg=dict(type='GN', num_groups=32),
            act_cfg=dict(type='ReLU'),
            encoder=dict(
                num_layers=6,
                layer_cfg=dict(
                    self_attn_cfg=dict(
                        embed_dims=256,
                        num_heads=8,
                        num_levels=3,
                        num_points=4,
                        dropout=0.0,
                        batch_first=True,
                    ),
                    ffn_cfg=dict(
                        embed_dims=256,
                        feedforward_channels=1024,
                        num_fcs=2,
                        ffn_drop=0.0,
                        act_cfg=dict(type='ReLU', inplace=True),
                    ),
                ),
            ),
            positional_encoding=dict(num_feats=128, normalize=True),
        ),
    ),
    decoder=dict(
        type='MaskedAttentionDecoder',
        channels=256,
        num_queries=250,
        head=dict(type='MaskEmbedHead'),
        transformer=dict(
            type='mmdet.Mask2FormerHead',
            positional_encoding=dict(num_feats=128, normalize=True),
            transformer_decoder=dict(
                return_intermediate=True,
                num_layers=9,
                layer_cfg=dict(
                    self_attn_cfg=dict(
                        embed_dims=256, num_heads=8, dropout=0.0, batch_first=True
                    ),
                    cross_attn_cfg=dict(
                        embed_dims=256, num_heads=8, dropout=0.0, batch_first=True
                    ),
                    ffn_cfg=dict(
                        embed_dims=256,
                        feedforward_channels=2048,
                        num_fcs=2,
                        ffn_drop=0.0,
                        act_cfg=dict(type='ReLU', inplace=True),
                    ),
                ),
            ),
            # mmdet builds its losses, though ours is used.
            loss_cls=dict(type='CrossEntropyLoss', class_weight=[1.0, 0.1]),
        ),
    ),
    # Mask2Former's values.
    criterion=dict(
        type='MaskSetLoss',
        class_weight=2.0,
        mask_weight=5.0,
        dice_weight=5.0,
        void_weight=0.1,
        num_points=12544,
    ),
    fusion=dict(type='MaskFusion', object_mask_thr=0.0, iou_thr=0.8),
    ensemble=dict(type='GeometricEnsemble', alpha=0.4, beta=0.8, valid_only=False),
)
