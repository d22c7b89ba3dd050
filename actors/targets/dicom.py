"""Sends images to a DICOM node with C-STORE, byte for byte, in the transfer syntax in which they are stored if it takes that.
It must not transcode by itself (`transcoding` has it done), retry, or touch the spool.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from actors.dicom import statuses
from actors.dicom.frame import DEFLATED, OutgoingImage
from actors.dicom.message import PeerAborted
from actors.dicom.scu import (
    MAX_CONTEXTS,
    VERIFICATION_CONTEXT,
    Association,
    Context,
    Node,
    StoreResult,
    open_association,
)
from actors.dicom.tls import ClientTls
from actors.pace import Pace
from actors.targets.dicom_contexts import REASONS
from actors.targets.dicom_rungs import probe, rungs
from actors.targets.interface import Alive, Answer, Rung
from actors.targets.transcoding import NoRoom, Syntaxes, Transcoder, not_taken, put_off, refusal
from protocol.causes import Cause
from protocol.errors import UnreadableImage
from protocol.header.dictionary import uid_name
from protocol.routing.fields import ae_title
from protocol.routing.syntaxes import uid_of
from protocol.routing.targets import DicomTarget as DicomSettings
from protocol.spool.images import ImageFile

AS_STORED = Syntaxes()
ODD = "the data set of this image has an odd number of bytes, as it came in, which the standard forbids and many targets abort for"


class DicomTarget:
    """A storage SCP (PS3.4 Annex B)."""

    pace: Pace | None = None

    def __init__(self, settings: DicomSettings, scratch: Path | None = None) -> None:
        self._settings, self._node = settings, node_of(settings)
        self._syntaxes = Syntaxes(settings.transfer_syntaxes, settings.transcode, scratch)
        self.sessions = settings.associations
        self.lately: Sequence[tuple[str, str]] = ()
        # The request for commitment comes right after the images, over an association of its own: a target that takes only
        # one at a time would wait for our idle one, and we for its answer.
        self.reuse_s = settings.reuse_s if settings.commitment is None else 0.0

    @property
    def patience_s(self) -> float:
        """At worst a release goes unanswered, then a new association is connected, negotiated, a store sent
        and its answer comes in pieces."""
        node = self._node
        negotiating = 4 if node.tls is not None else 3
        return node.connect_timeout_s + negotiating * node.acse_timeout_s + 3 * node.dimse_timeout_s

    def open(self, images: Sequence[ImageFile], alive: Alive) -> DicomSession:
        """Associate. Raises TargetUnreachable, AssociationRejected, AssociationAborted, PeerTimeout."""
        return DicomSession(self._node, images, alive, pace=self.pace, titles=self._titled, syntaxes=self._syntaxes)

    def probe(self) -> str:
        """C-ECHO. Raises TargetUnreachable, AssociationRejected (for now), AssociationAborted, PeerTimeout."""
        return probe(self._node)

    def _titled(self, images: Sequence[ImageFile]) -> Node:
        """The node, with the AE titles that these images of one arrival came with, as far as they are passed."""
        settings, node = self._settings, self._node
        if settings.pass_calling_ae:
            node = replace(node, calling_ae=_title(images[0], "SenderAET", node.calling_ae))
        if settings.pass_called_ae:
            node = replace(node, called_ae=_title(images[0], "ReceiverAET", node.called_ae))
        return node

    def rungs(self) -> Generator[Rung, None, None]:
        """Name, TCP, TLS if asked for, association, contexts, C-ECHO (PS3.4 annex A)."""
        return rungs(self._node, [uid_of(name) for name in self._syntaxes.allowed or ()], self.lately)


class DicomSession:
    """One association after the other: an association can propose 128 contexts (PS3.8 section 9.3.2.2), a series may
    need more; and one that broke at an image of ours that cannot be read is replaced for the rest.

    `extra` contexts are proposed in each association beside those of the images, for whoever has more to say on it.
    `titles` says who calls whom for the images of a delivery, if that is not the same for all.
    """

    def __init__(
        self, node: Node, images: Sequence[ImageFile], alive: Alive, extra: Sequence[Context] = (),
        pace: Pace | None = None, titles: Callable[[Sequence[ImageFile]], Node] | None = None,
        syntaxes: Syntaxes = AS_STORED,
    ) -> None:  # fmt: skip
        self._titles = titles or (lambda images: node)
        self._node = self._titles(images)
        self._images, self._alive, self._extra, self._pace = images, alive, tuple(extra), pace
        self._syntaxes, self._transcoder = syntaxes, Transcoder(syntaxes.scratch)
        self._refused = False  # the last image was
        self._at = 0  # where the image that is sent next stands, or before it
        self._proposed: frozenset[Context] = frozenset()
        self._ways: dict[Context, list[Context]] = {}
        self._taken: dict[Context, tuple[str, ...]] = {}  # of this association
        self.association: Association = self._associate()

    def send(self, image: ImageFile, following: ImageFile | None = None) -> Answer:
        """C-STORE. Raises AssociationAborted, PeerTimeout; for a further association also what `open` raises."""
        contexts = self._contexts(image)
        if not contexts:
            words = f"not sent, the target's `transfer_syntaxes` do not list {uid_name(image.transfer_syntax_uid)}"
            return Answer(statuses.SOP_CLASS_NOT_SUPPORTED, False, words, words)
        # Many a peer that refuses an image says good-bye with it: then the next one needs another association.
        over = not self.association.usable or (self._refused and not self.association.is_idle())
        if over or not self._proposed.issuperset(contexts):
            self._advance(image)
            self.association.release()
            self.association = self._associate()
        accepted = self._accepted(image)
        if not accepted:
            return self._not_taken(image)
        if accepted[0] == image.transfer_syntax_uid:
            return self._store(image, image, following)
        try:
            changed = self._transcoder.result(image, accepted, self._alive)
        except UnreadableImage as exc:
            return refusal(image, accepted, exc)
        except NoRoom as exc:
            return put_off(exc)
        if not self.association.is_idle():  # it took long, and the target did not want to wait
            self._advance(image)
            self.association = self._associate()
            if changed.transfer_syntax_uid not in self._accepted(image):
                return self._not_taken(image)
        return replace(self._store(image, changed, following), syntax=changed.transfer_syntax_uid)

    def again(self, images: Sequence[ImageFile], alive: Alive) -> bool:
        """Whether the association still stands and was negotiated for all that these images need."""
        contexts = {context for image in images for context in self._contexts(image)}
        if self._titles(images) != self._node or not contexts <= self._proposed or not self.association.is_idle():
            return False
        self._images, self._alive, self._at = images, alive, 0
        self.association.progress = lambda taken: alive()
        return True

    def close(self) -> None:
        """Release."""
        self.association.release()
        self._transcoder.close()

    def abort(self) -> None:
        """A-ABORT."""
        self.association.abort()
        self._transcoder.close()

    # -- inner -------------------------------------------------------------------------------------------------------

    def _contexts(self, image: ImageFile) -> list[Context]:
        """Those in which the image may go out, the best one first."""
        stored = image.sop_class_uid, image.transfer_syntax_uid
        found = self._ways.get(stored)
        if found is None:
            found = self._ways[stored] = [(stored[0], syntax) for syntax in self._syntaxes.ways(image)]
        return found

    def _accepted(self, image: ImageFile) -> tuple[str, ...]:
        """The transfer syntaxes of those that the target takes."""
        stored = image.sop_class_uid, image.transfer_syntax_uid
        found = self._taken.get(stored)
        if found is None:
            contexts = self._contexts(image)
            found = self._taken[stored] = tuple(pair[1] for pair in contexts if self.association.accepts(*pair))
        return found

    def _not_taken(self, image: ImageFile) -> Answer:
        said = self.association.results.get((image.sop_class_uid, image.transfer_syntax_uid))
        words = not_taken(image) + (f": {REASONS[said]}" if said in REASONS else "")
        return Answer(statuses.SOP_CLASS_NOT_SUPPORTED, False, words, words)

    def _store(self, image: ImageFile, sent: ImageFile, following: ImageFile | None) -> Answer:
        """`sent` is the image itself or what it was changed into."""
        try:
            result = self.association.store(_outgoing(sent), self._prepared(following))
        except UnreadableImage as exc:
            # Nothing the target could help with; the rest of the series must not wait for it.
            words = f"not sent, {exc}"
            return Answer(statuses.PROCESSING_FAILURE, False, words, words, cause=Cause.IMAGE_DAMAGED)
        except PeerAborted as exc:
            if sent.bytes % 2 and sent.transfer_syntax_uid not in DEFLATED:
                raise PeerAborted(f"{exc}; {ODD}") from exc
            raise
        self._alive()
        answer = _answer(result)
        self._refused = not answer.ok
        return answer

    def _prepared(self, following: ImageFile | None) -> OutgoingImage | None:
        """What can be read ahead; an image that has to be changed is begun with instead."""
        if following is None:
            return None
        accepted = self._accepted(following)
        if not accepted or accepted[0] == following.transfer_syntax_uid:
            return _outgoing(following)
        with suppress(NoRoom):  # its own turn will say so
            self._transcoder.begin(following, accepted)
        return None

    def _advance(self, image: ImageFile) -> None:
        """Other sessions may send the images in between."""
        images = self._images
        while self._at < len(images) and images[self._at] is not image:
            self._at += 1

    def _associate(self) -> Association:
        """Propose what the next images need, as many contexts as fit."""
        room = MAX_CONTEXTS - len(self._extra)
        contexts: dict[Context, None] = {}
        for image in self._images[self._at :]:
            further = [context for context in self._contexts(image) if context not in contexts]
            if len(contexts) + len(further) > room:
                break
            contexts.update(dict.fromkeys(further))
        # Where no image may be sent as it is, the target is asked for something that it takes all the same.
        association = open_association(self._node, [*contexts, *self._extra] or [VERIFICATION_CONTEXT])
        association.progress = lambda taken: self._alive()
        association.pace = self._pace
        self._proposed, self._refused = frozenset(contexts), False
        self._taken.clear()
        self._alive()
        return association


def node_of(settings: DicomSettings) -> Node:
    """Whom to call, and how patiently."""
    tls = settings.tls
    return Node(
        settings.host, settings.port, settings.called_ae, settings.calling_ae, settings.max_pdu,
        settings.connect_timeout_s, settings.acse_timeout_s, settings.dimse_timeout_s,
        None if tls is None else ClientTls(tls.ca, tls.cert, tls.key, tls.verify, tls.server_name, tls.key_password),
    )  # fmt: skip


def _title(image: ImageFile, name: str, usual: str) -> str:
    try:
        return ae_title(str(image.values.get(name, "")))
    except ValueError:
        return usual


def _outgoing(image: ImageFile) -> OutgoingImage:
    return OutgoingImage(
        image.path, image.offset, image.sop_class_uid, image.sop_instance_uid, image.transfer_syntax_uid, image.bytes
    )


def _answer(result: StoreResult) -> Answer:
    """Warnings and 0111 (already there) count as delivered: the target says that it has the image."""
    return Answer(result.status, result.category != "failure", str(result), result.comment, result.retryable)
