"""Whose turn it is, which file, which octets."""

from __future__ import annotations

import pytest

from snowowl.client.load_content import Content, Uploads
from snowowl.client.load_jobs import Fetches, FirstFetch, Jobs, ReadBacks, Sends
from snowowl.client.load_options import LoadOptions
from snowowl.client.load_reader import CheckingReader
from snowowl.client.options import ClientOptions
from snowowl.client.url import parse_url
from snowowl.protocol.actions import SendPacket
from snowowl.wire.codec import decode_request
from snowowl.wire.packets import Mode, ReadRequest, WriteRequest

TARGET = parse_url("tftp://192.0.2.1/dir/file;mode=netascii")
FOLDER = parse_url("tftp://192.0.2.1/dir/")


def asked(jobs: Jobs, client: int = 1) -> ReadRequest | WriteRequest:
    job = jobs(client)
    assert job is not None
    (action,) = job.transfer.start(0.0)
    assert isinstance(action, SendPacket)
    return decode_request(action.packet)


def test_fetches_ask_for_the_file_as_often_as_wanted() -> None:
    request = ClientOptions(blksize=1000, windowsize=3, timeout=2)
    options = LoadOptions(clients=2, transfers=3, request=request)
    jobs = Fetches(TARGET, options, Content(b"x"))
    expected = ReadRequest(b"dir/file", Mode.NETASCII, request.asked(0))
    assert [asked(jobs) for _ in range(3)] == [expected] * 3
    assert jobs(1) is None


def test_without_a_number_fetches_go_on() -> None:
    jobs = Fetches(TARGET, LoadOptions(seconds=1.0), Content(b"x"))
    assert all(jobs(1) is not None for _ in range(100))


def test_the_first_fetch_is_one() -> None:
    jobs = FirstFetch(TARGET, LoadOptions(clients=7))
    assert asked(jobs) == ReadRequest(b"dir/file", Mode.NETASCII, ClientOptions().asked(0))
    assert jobs(1) is None


def test_uploads_have_names_and_octets_of_their_own() -> None:
    options = LoadOptions(clients=2, transfers=4, upload_size=10, upload_name="a{client}ß{n}")
    jobs = Sends(FOLDER, options, Uploads(10))
    made = [jobs(client) for client in (1, 2, 2, 1)]
    assert [job.name.decode() for job in made if job] == [
        "dir/a1ß1",
        "dir/a2ß1",
        "dir/a2ß2",
        "dir/a1ß2",
    ]
    assert len({job.content.digest for job in made if job and job.content}) == 4
    assert jobs(1) is None


def test_an_upload_announces_its_size() -> None:
    jobs = Sends(FOLDER, LoadOptions(upload_size=1234), Uploads(1234))
    request = asked(jobs)
    assert isinstance(request, WriteRequest)
    assert dict(request.options)[b"tsize"] == b"1234"


def test_what_was_uploaded_is_read_back_once_with_its_octets() -> None:
    uploads = Uploads(10)
    jobs = ReadBacks(FOLDER, LoadOptions(), uploads, [(3, b"dir/c"), (1, b"dir/a")])
    first, second = jobs(1), jobs(2)
    assert first is not None
    assert second is not None
    assert (first.name, second.name, jobs(1)) == (b"dir/c", b"dir/a", None)
    assert isinstance(first.transfer, CheckingReader)
    assert first.transfer._content.digest == uploads.content(3).digest


@pytest.mark.parametrize(
    "template", ["{client}{n}{client.__class__}", "{{client}}{n}", "%s{client}{n}"]
)
def test_a_template_is_no_program(template: str) -> None:
    jobs = Sends(FOLDER, LoadOptions(upload_size=1, upload_name=template), Uploads(1))
    job = jobs(1)
    assert job is not None
    assert job.name.decode() == "dir/" + template.replace("{client}", "1").replace("{n}", "1")
