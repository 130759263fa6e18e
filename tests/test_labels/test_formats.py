"""Every format read back, by its own reader if that is installed, else as defined."""

import base64
import io
import json
from dataclasses import replace
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest
from PIL import Image, ImageDraw
from pycocotools.coco import COCO

from mmovseg.labels import FORMATS, check_formats, write_labels
from mmovseg.labels.photo_labels import PhotoLabels
from mmovseg.vocabulary import Vocabulary

DRAWN = [x for x in FORMATS if x != 'label-studio']  # needs a package


@pytest.fixture
def write(photos, vocabulary, tmp_path):
    """Write the labels of all photos in a format; return its folder."""

    def write(name):
        (folder,) = write_labels([name], photos, vocabulary, tmp_path / 'out')
        return folder

    return write


def on_top(photo):
    """Return the class at every pixel, -1 for none, from the masks themselves."""
    labels = np.full((photo.height, photo.width), -1)
    for segment, mask in reversed(
        list(zip(photo.segments, photo.masks(), strict=True))
    ):
        labels[mask > 0] = segment['label']
    return labels


def read_png(path):
    return np.asarray(Image.open(path)).astype(np.int64)


@pytest.mark.parametrize('name', ['coco', 'coco-polygons'])
def test_coco_by_pycocotools(write, photos, name, capsys):
    coco = COCO(str(write(name) / 'instances.json'))
    assert [x['name'] for x in coco.dataset['categories']] == ['car', 'sky', 'person']
    kinds = [x['supercategory'] for x in coco.dataset['categories']]
    assert kinds == ['thing', 'stuff', 'thing']
    for image, photo in zip(coco.dataset['images'], photos, strict=True):
        assert image['file_name'] == photo.file_name
        found = coco.loadAnns(coco.getAnnIds(image['id']))
        assert len(found) == 4
        for annotation, segment, mask in zip(
            found, photo.segments, photo.masks(), strict=True
        ):
            assert (coco.annToMask(annotation) == mask).all()
            assert annotation['category_id'] == segment['label'] + 1
            assert annotation['score'] == segment['score']
            assert annotation['area'] == mask.sum()
            assert isinstance(annotation['segmentation'], list) == ('-' in name)


def test_coco_panoptic(write, photos):
    folder = write('coco-panoptic')
    content = json.loads((folder / 'panoptic.json').read_text())
    assert [x['isthing'] for x in content['categories']] == [1, 0, 1]
    for annotation, photo in zip(content['annotations'], photos, strict=True):
        rgb = read_png(folder / 'panoptic' / annotation['file_name'])
        ids = rgb @ [1, 256, 65536]
        infos = annotation['segments_info']
        assert set(np.unique(ids)) - {0} == {x['id'] for x in infos}
        labels = np.full(ids.shape, -1)
        for info in infos:
            place = ids == info['id']
            labels[place] = info['category_id'] - 1
            x, y, width, height = info['bbox']
            assert info['area'] == place.sum() == place[y:, x:][:height, :width].sum()
        assert (labels == on_top(photo)).all()


def read_yolo(path, photo):
    """Read labels as Ultralytics does: float32, times the size, cut to whole pixels."""
    for line in path.read_text().splitlines():
        label, *values = line.split()
        points = np.array(values, np.float32).reshape(-1, 2)
        points = (points * [photo.width, photo.height]).astype(np.int32)
        mask = np.zeros((photo.height, photo.width), np.uint8)
        yield int(label), cv2.fillPoly(mask, [points], 1)


def check_yolo(found, photo):
    assert [label for label, _ in found] == [x['label'] for x in photo.segments]
    for (_, drawn), mask in zip(found, photo.masks(), strict=True):
        parts = cv2.connectedComponents(mask, connectivity=8)[0] - 1
        extra = drawn.astype(int) - mask
        assert extra.min() == 0  # nothing is lost
        lines = cv2.erode(extra.astype(np.uint8), np.ones((3, 3), np.uint8))
        assert not lines.any() and (parts > 1 or not extra.any())


def test_yolo(write, photos):
    folder = write('yolo')
    assert '\n  2: "person"\n' in (folder / 'data.yaml').read_text()
    for photo in photos:
        found = list(read_yolo(folder / 'labels' / f'{photo.stem}.txt', photo))
        check_yolo(found, photo)
        assert (folder / 'images' / photo.file_name).read_bytes()


def test_yolo_by_ultralytics(write, photos):
    utils = pytest.importorskip('ultralytics.data.utils', reason='ultralytics')
    folder = write('yolo')
    for photo in photos:
        image = str(folder / 'images' / photo.file_name)
        (label,) = utils.img2label_paths([image])
        args = (image, label, '', False, 3, 0, 0, False)
        _, boxes, shape, segments, _, _, _, _, corrupt, why = utils.verify_image_label(
            args
        )
        assert shape == (photo.height, photo.width) and not corrupt, why
        size = [photo.width, photo.height]
        drawn = [
            utils.polygon2mask(shape, [(x * size).ravel()], downsample_ratio=1)
            for x in segments
        ]
        labels = boxes[:, 0].astype(int).tolist()
        check_yolo(list(zip(labels, drawn, strict=True)), photo)


def test_labels_are_where_yolo_looks_for_them(photos, vocabulary, tmp_path):
    """It puts ``labels`` for the last folder ``images`` of a photo's path."""
    photo = replace(photos[0], file_name='set/images/sub/images/a.b.jpg')
    (folder,) = write_labels(['yolo'], [photo], vocabulary, tmp_path)
    place = folder / 'images/set/images/sub/labels/a.b.txt'
    check_yolo(list(read_yolo(place, photo)), photo)


def test_single_pixels_are_no_boxes_for_yolo(photos, vocabulary, tmp_path):
    """Lines of four numbers would be read as boxes."""
    photo = photos[0]
    pixel = dict(photo.segments[0], box=[5, 3, 1, 1], area=1)
    mask = np.zeros((photo.height, photo.width), np.uint8, 'F')
    mask[3, 5] = 1
    from pycocotools import mask as rle

    pixel['mask'] = rle.encode(mask)
    photo = PhotoLabels('x.png', photo.height, photo.width, (pixel,))
    (folder,) = write_labels(['yolo'], [photo], vocabulary, tmp_path / 'pixel')
    ((_, drawn),) = read_yolo(folder / 'labels' / 'x.txt', photo)
    assert (drawn == mask).all()
    assert len((folder / 'labels' / 'x.txt').read_text().split()) == 7


def check_shapes(shapes, photo, draw):
    """Compare shapes of labelme, by their groups, with the masks."""
    for number, mask in enumerate(photo.masks(), 1):
        drawn = np.zeros(mask.shape, bool)
        for shape in shapes:
            if shape['group_id'] == number:
                assert shape['label'] == photo.segments[number - 1]['name']
                drawn |= draw(shape)
        assert (drawn == mask).all()


def test_labelme(write, photos):
    folder = write('labelme')
    for photo in photos:
        path = folder / f'{photo.stem}.json'
        content = json.loads(path.read_text())
        assert (path.parent / content['imagePath']).samefile(photo.source)

        def draw(shape, size=(photo.height, photo.width)):
            mask = np.zeros(size, bool)
            if shape['shape_type'] == 'mask':
                (x1, y1), (x2, y2) = shape['points']
                data = io.BytesIO(base64.b64decode(shape['mask']))
                mask[y1 : y2 + 1, x1 : x2 + 1] = np.asarray(Image.open(data))
                return mask
            image = Image.fromarray(mask.astype(np.uint8))
            points = [tuple(point) for point in shape['points']]
            ImageDraw.Draw(image).polygon(points, outline=1, fill=1)
            return np.asarray(image) > 0

        check_shapes(content['shapes'], photo, draw)


def test_labelme_by_labelme(write, photos):
    files = pytest.importorskip('labelme._label_file', exc_type=ImportError)
    from labelme.utils import shapes_to_label

    folder = write('labelme')
    numbers = dict(_background_=0, car=1, sky=2, person=3)
    for photo in photos:
        file = files.LabelFile(str(folder / f'{photo.stem}.json'))
        shape = photo.height, photo.width
        classes, _ = shapes_to_label(shape, file.shapes, numbers)
        assert (classes - 1 == on_top(photo)).all()


def test_label_studio_by_its_converter(write, photos):
    brush = pytest.importorskip('label_studio_sdk.converter.brush')
    folder = write('label-studio')
    tasks = json.loads((folder / 'tasks.json').read_text())
    assert tasks[1]['data']['image'] == '/data/local-files/?d=sub/b.jpg'
    ids = set()
    for task, photo in zip(tasks, photos, strict=True):
        (prediction,) = task['predictions']
        for stroke, segment, mask in zip(
            prediction['result'], photo.segments, photo.masks(), strict=True
        ):
            decoded = brush.decode_rle(stroke['value']['rle'])
            drawn = np.reshape(decoded, (photo.height, photo.width, 4))[..., 3]
            assert (drawn == mask * 255).all()
            assert stroke['value']['brushlabels'] == [segment['name']]
            ids.add(stroke['id'])
    assert len(ids) == 8
    view = ElementTree.parse(folder / 'config.xml').getroot()
    assert [x.get('value') for x in view.iter('Label')] == ['car', 'sky', 'person']


def test_label_studio_without_its_converter(vocabulary, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, 'label_studio_sdk.converter.brush', None)
    with pytest.raises(ValueError, match=r"pip install 'mmovseg\[label-studio\]'"):
        check_formats(['label-studio'], vocabulary)


def read_cvat(folder, photos, decode):
    root = ElementTree.parse(folder / 'annotations.xml').getroot()
    assert root.findtext('version') == '1.1'
    for image, photo in zip(root.iter('image'), photos, strict=True):
        assert image.get('name') == photo.file_name
        found = list(image.iter('mask'))
        orders = [int(x.get('z_order')) for x in found]
        assert orders == sorted(orders)
        for element, segment, mask in zip(
            reversed(found), photo.segments, photo.masks(), strict=True
        ):
            runs = [int(x) for x in element.get('rle').split(',')]
            place = [int(element.get(x)) for x in ('left', 'top', 'width', 'height')]
            assert (decode(runs, place, photo) == mask).all()
            assert element.get('label') == segment['name']


def test_cvat(write, photos):
    def decode(runs, place, photo):
        left, top, width, height = place
        values = np.repeat(np.arange(len(runs)) % 2, runs).reshape(height, width)
        mask = np.zeros((photo.height, photo.width), np.uint8)
        mask[top : top + height, left : left + width] = values
        return mask

    folder = write('cvat')
    read_cvat(folder, photos, decode)
    labels = json.loads((folder / 'labels.json').read_text())
    assert [x['name'] for x in labels] == ['car', 'sky', 'person']


def test_cvat_by_its_sdk(write, photos):
    masks = pytest.importorskip('cvat_sdk.masks')

    def decode(runs, place, photo):
        left, top, width, height = place
        box = [left, top, left + width - 1, top + height - 1]
        size = dict(image_width=photo.width, image_height=photo.height)
        return masks.decode_mask([*runs, *box], **size)

    read_cvat(write('cvat'), photos, decode)


def test_voc(write, photos):
    folder = write('voc')
    lines = (folder / 'labelmap.txt').read_text().splitlines()[2:]
    names = [line.split(':')[0] for line in lines]
    colors = [list(map(int, line.split(':')[1].split(','))) for line in lines]
    assert names == ['background', 'car', 'sky', 'person']
    assert colors == [[0, 0, 0], [128, 0, 0], [0, 128, 0], [128, 128, 0]]
    for photo in photos:
        image = Image.open(folder / 'SegmentationClass' / f'{photo.stem}.png')
        assert image.mode == 'P'
        assert (np.asarray(image) == on_top(photo) + 1).all()
        shown = np.asarray(image.convert('RGB'))
        assert (shown == np.asarray(colors)[on_top(photo) + 1]).all()
        objects = read_png(folder / 'SegmentationObject' / f'{photo.stem}.png')
        assert (objects == photo.number_map()).all()


def test_voc_by_datumaro(write, photos):
    datumaro = pytest.importorskip('datumaro')
    folder = write('voc')
    lists = folder / 'ImageSets' / 'Segmentation'
    lists.mkdir(parents=True)
    (lists / 'train.txt').write_text('a\n')
    found = datumaro.Dataset.import_from(str(folder), 'voc_segmentation')
    (item,) = found
    categories = found.categories()[datumaro.AnnotationType.label]
    labels = np.full((photos[0].height, photos[0].width), -1)
    for mask in item.annotations:
        name = categories[mask.label].name
        labels[mask.image > 0] = ['car', 'sky', 'person'].index(name)
    assert (labels == on_top(photos[0])).all()


def test_ade(write, photos):
    folder = write('ade')
    assert (folder / 'classes.txt').read_text() == '1\tcar\n2\tsky\n3\tperson\n'
    for photo in photos:
        read = read_png(folder / 'annotations' / f'{photo.stem}.png')
        assert (read == on_top(photo) + 1).all()


def test_ade_of_many_classes_has_16_bits(photos, tmp_path):
    names = tuple((f'class {i}',) for i in range(300))
    segment = dict(photos[0].segments[0], label=299, name='class 299')
    photo = PhotoLabels('x.png', photos[0].height, photos[0].width, (segment,))
    vocabulary = Vocabulary(names, (True,) * 300)
    (folder,) = write_labels(['ade'], [photo], vocabulary, tmp_path / 'many')
    assert read_png(folder / 'annotations' / 'x.png').max() == 300
    with pytest.raises(ValueError, match='254 classes, and there are 300'):
        check_formats(['voc'], vocabulary)


def test_cityscapes(write, photos):
    folder = write('cityscapes')
    ids = np.array([26, 23, 24, 0])
    for photo in photos:
        start = folder / photo.stem
        labels = read_png(f'{start}_gtFine_labelIds.png')
        assert (labels == ids[on_top(photo)]).all()
        instances = read_png(f'{start}_gtFine_instanceIds.png')
        numbers = np.array([0, 26000, 24000, 23, 26001])
        assert (instances == numbers[photo.number_map()]).all()
        colors = read_png(f'{start}_gtFine_color.png')
        assert (colors[labels == 26] == [0, 0, 142]).all()


def test_cityscapes_ids_are_those_of_its_scripts():
    labels = pytest.importorskip('cityscapesscripts.helpers.labels').labels
    from mmovseg.labels.cityscapes import IDS

    theirs = {x.name: (x.id, x.hasInstances, x.color) for x in labels if x.id >= 0}
    assert theirs == IDS


def test_cityscapes_refuses_other_names():
    vocabulary = Vocabulary.from_string('car, traffic lights')
    with pytest.raises(ValueError, match="Did you mean 'traffic light'"):
        check_formats(['cityscapes'], vocabulary)


def test_unknown_formats_are_refused(vocabulary):
    with pytest.raises(ValueError, match=r"no format 'cocoo'.*Did you mean 'coco'"):
        check_formats(['cocoo'], vocabulary)


@pytest.mark.parametrize('name', DRAWN)
def test_a_photo_without_segments(name, vocabulary, tmp_path):
    photo = PhotoLabels('x.png', 4, 6, ())
    (folder,) = write_labels([name], [photo], vocabulary, tmp_path)
    for path in folder.rglob('*.png'):
        assert read_png(path).shape[:2] == (4, 6) and not read_png(path).any()
    for path in folder.rglob('*.json'):
        json.loads(path.read_text())


@pytest.mark.parametrize('name', DRAWN)
def test_the_same_labels_are_the_same_bytes(name, photos, vocabulary, tmp_path):
    kept = []
    for run in ('first', 'second'):
        (folder,) = write_labels([name], photos, vocabulary, tmp_path / run)
        files = sorted(x for x in folder.rglob('*') if x.is_file())
        kept.append({str(x.relative_to(folder)): x.read_bytes() for x in files})
    first, second = kept
    assert first.keys() == second.keys()
    if name != 'labelme':  # has a relative path
        assert first == second


@pytest.mark.parametrize('name', ['coco-panoptic', 'yolo', 'labelme', 'voc', 'ade'])
def test_photos_that_would_share_a_file(name, vocabulary, tmp_path):
    photos = [PhotoLabels(x, 4, 6, ()) for x in ('a.png', 'a.jpg')]
    with pytest.raises(ValueError, match=r'a\.png and a\.jpg would share'):
        write_labels([name], photos, vocabulary, tmp_path)


def test_overlapping_masks_stay_whole():
    """Instances have masks of their own; a map of numbers would cut them."""
    from pycocotools import mask as rle

    masks = np.zeros((2, 4, 6), np.uint8)
    masks[0, :, :4] = masks[1, :, 2:] = 1
    segments = []
    for number, mask in enumerate(masks, 1):
        code = rle.encode(np.asfortranarray(mask))
        code['counts'] = code['counts'].decode()
        box = [2 * number - 2, 0, 4, 4]
        segments.append(
            dict(
                label=0,
                name='car',
                isthing=True,
                score=0.5,
                area=16,
                box=box,
                mask=code,
            )
        )
    photo = PhotoLabels('x.png', 4, 6, tuple(segments))
    assert (np.asarray(photo.masks()) == masks).all()
    assert photo.number_map()[0].tolist() == [1, 1, 1, 1, 2, 2]
