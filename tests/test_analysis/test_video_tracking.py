"""Tracks of drawn videos: true segments keep their ids, embeddings help."""

from mmovseg.analysis.video_tracking import ROWS, measure_tracking
from mmovseg.apis import OVSegInferencer, init_model


def test_true_segments_are_tracked_nearly_perfectly():
    model = init_model('eovseg_tiny_shapeworld', 'shapeworld')
    inferencer = OVSegInferencer(model, show_progress=False)
    rows = measure_tracking(inferencer, seed=2, num_videos=3, num_frames=12)
    assert list(rows) == list(ROWS)
    place, both, true_place, true_both = rows.values()
    for row in (true_place, true_both):
        assert row['SQ'] == row['VPQ-1'] == 100
        assert row['AQ'] > 90
    assert true_both['tracks per true one'] <= true_place['tracks per true one'] < 1.5
    assert 0 < both['SQ'] < 100
    assert both['AQ'] > place['AQ'] > 0
    assert both['tracks per true one'] < place['tracks per true one']
