"""Which faults are made when."""

import pytest

from apps.faults.catalogue import SHORT_SWAPS, all_faults, chosen
from apps.faults.grounds import GROUNDS
from apps.faults.writer import NAME
from cluster.errors import ConfigError


def test_every_fault_has_a_name_of_its_own_a_sentence_and_a_ground() -> None:
    names = [fault.name for fault in all_faults()]
    assert len(set(names)) == len(names)
    assert all(fault.about and fault.ground in GROUNDS for fault in all_faults())


def test_the_short_form_needs_one_server() -> None:
    assert {fault.ground for fault in chosen([], short=True)} == {"colocated"}
    assert SHORT_SWAPS in {fault.name for fault in chosen([], short=True)}
    assert SHORT_SWAPS not in {fault.name for fault in chosen([], short=False)}


def test_faults_are_chosen_by_name() -> None:
    assert [fault.name for fault in chosen(["disk-full", "kill-proxy"], short=False)] == ["kill-proxy", "disk-full"]
    assert chosen([NAME], short=False) == []
    with pytest.raises(ConfigError, match="no fault is called nonsense; there are nothing, kill-ingress"):
        chosen(["nonsense"], short=False)
