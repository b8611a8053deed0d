"""Places of topics beside the plain comparison of each with each."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lineage_pipeline.books.object_store import below
from lineage_pipeline.books.shared_places import is_shared

SEGMENTS = st.lists(st.sampled_from(["a", "b", "kafka_topic=a", "kafka_topic=b"]), max_size=4)
PLACES = st.builds(lambda parts, slash: f"s3://bucket/{'/'.join(parts)}{slash}", SEGMENTS, st.sampled_from(["", "/"]))
OWNED = st.lists(st.tuples(st.sampled_from(["a", "b", "c"]), PLACES), min_size=1, max_size=6)


@given(OWNED, PLACES)
def test_a_place_is_shared_when_another_topics_is_there_or_below_it_outside_of_a_topics_directory(
    owned: list[tuple[str, str]], place: str
) -> None:
    inner = [below(place, uri) for owner, uri in owned if owner != "a"]
    expected = any(one is not None and not any(part.startswith("kafka_topic=") for part in one) for one in inner)
    assert is_shared("a", place, tuple(owned)) is expected
