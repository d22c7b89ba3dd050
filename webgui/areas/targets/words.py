"""The English of the target pages: labels and help of every setting of all types, words for states. It must not hold behaviour."""

from __future__ import annotations

TYPES = {
    "dicom": ("DICOM node", "A PACS, workstation or AI server that takes C-STORE, with or without TLS."),
    "dicomweb": ("DICOMweb", "A server that takes STOW-RS over HTTPS."),
    "folder": ("Folder", "Files on this machine or a mounted share. The easiest to try with."),
    "s3": ("S3 bucket", "An object store: Amazon S3, MinIO, Ceph and others."),
    "sftp": ("SFTP", "A folder of an SSH server."),
}
_EVERY = {
    "concurrency": ("Deliveries at once", "How many series may be under way to it at the same time."),
    "retry.first_s": ("First retry after (s)", "Later waits grow from it."),
    "retry.factor": ("Waits grow by", "2: 10 s, 20 s, 40 s ..."),
    "retry.max_s": ("Longest wait (s)", ""),
    "retry.give_up_after_s": ("Give up after (s)", "Then the delivery is parked for a person. 259200 is three days; empty: never."),
    "retry.max_attempts": ("Give up after attempts", "Empty: no limit."),
    "schedule": ("Send only at these times", "One window a line, by the node's clock: mon-fri 18:00-06:00. Empty: always."),
    "retention_h": ("Keep delivered series (h)", "At least so long on this node, if that is longer than the general retention."),
    "bandwidth_mbit_s": ("Bandwidth (Mbit/s)", "For all deliveries to it together. Empty: no limit."),
    "duplicates": ("Images it has already", "Skip: what it was sent before, unchanged, counts as sent."),
    "transfer_syntaxes": ("Transfer syntaxes", "Names or UIDs that it may be sent, with commas. Empty: as stored."),
    "transcode": ("Transcode", "Whether an image may be changed into a syntax that the target takes."),
    "comment": ("Comment", "Where it stands, whom to call."),
}  # fmt: skip
_TLS = {
    "tls": ("TLS", "Encrypted, with certificates."),
    "tls.ca": ("Authority (PEM file)", "Whose certificates count. Empty: those that the machine trusts."),
    "tls.cert": ("Our certificate (PEM file)", "Shown to the target, if it asks."),
    "tls.key": ("Its key (PEM file)", ""),
    "tls.key_password": ("Password of the key", "Only where it is: ${NAME} or file:/path."),
    "tls.verify": ("Check the target's certificate", "Off takes any: for trying only."),
    "tls.server_name": ("Name in its certificate", "If that is not the host."),
}
_WAITS = {
    "connect_timeout_s": ("Connect within (s)", ""),
    "timeout_s": ("Silence counts as hanging after (s)", ""),
    "reuse_s": ("Keep connections open (s)", "For the next delivery; 0 ends them at once."),
    "connections": ("Connections for one delivery", "Its images are spread over them."),
    "layout": ("Layout below it", "Folders made of DICOM keywords: {PatientID}/{StudyInstanceUID}/{SeriesInstanceUID}"),
    "done": ("Marker when complete", "Name of an empty file written after the last image."),
}
FIELDS = _EVERY | _TLS | _WAITS | {
    "host": ("Host", "Name or address."),
    "port": ("Port", ""),
    "called_ae": ("Its AE title", "Called AE title."),
    "calling_ae": ("Our AE title", "Calling AE title, as the target knows us."),
    "pass_calling_ae": ("Pass the scanner's AE title", "The target sees who sent the series, instead of us."),
    "pass_called_ae": ("Pass the title we were called by", ""),
    "acse_timeout_s": ("Association within (s)", ""),
    "dimse_timeout_s": ("Answer to each image within (s)", "Silence this long is a hang; the association is given up."),
    "max_pdu": ("Largest PDU (bytes)", "0: unlimited."),
    "associations": ("Associations for one delivery", "Its images are spread over them."),
    "probe": ("Probe by C-ECHO", "After a failure, to find out when it is there again."),
    "commitment": ("Ask for storage commitment", "A delivery is done only once the target says that it keeps the images."),
    "commitment.answer_s": ("Wait for the report here (s)", "Then it comes to our port."),
    "commitment.wait_s": ("Park without a report after (s)", ""),
    "url": ("URL", "The base, without /studies."),
    "images_per_request": ("Images per request", ""),
    "chunked": ("Chunked", "No Content-Length."),
    "expect_continue": ("Ask before large images", "Expect: 100-continue."),
    "trust_status": ("200 is enough", "For servers whose answer names no images."),
    "token": ("Token", "Bearer token; only where it is: ${NAME} or file:/path."),
    "user": ("User", ""),
    "password": ("Password", "Only where it is: ${NAME} or file:/path."),
    "proxy": ("Proxy", "http://proxy:3128"),
    "path": ("Folder", "An absolute path."),
    "create": ("Make it if it is missing", ""),
    "mounted": ("Must be mounted", "So that a share that is away does not fill the local disk."),
    "existing": ("Another version of an image there", ""),
    "mode": ("File mode", "0664, for example."),
    "sessions": ("Written at once", "Images of one delivery."),
    "bucket": ("Bucket", ""),
    "endpoint": ("Endpoint", "https://host; empty: Amazon."),
    "allow_http": ("Allow http", "Everybody on the way can read the images."),
    "region": ("Region", ""),
    "addressing": ("Bucket stands in", "The path or the host name."),
    "credentials": ("Credentials (file)", "As the AWS tools write it."),
    "access_key": ("Access key", "Only where it is: ${NAME} or file:/path."),
    "secret_key": ("Secret key", "Only where it is: ${NAME} or file:/path."),
    "ca": ("Authority (PEM file)", "Trusted besides those of the machine."),
    "verify": ("Check who the server is", "Off trusts any: for trying only."),
    "storage_class": ("Storage class", ""),
    "encryption": ("Encryption", ""),
    "kms_key": ("KMS key", ""),
    "checksum": ("Checksum", ""),
    "part_mb": ("Parts of (MiB)", "Larger images go in parts."),
    "key_file": ("Our key (file)", ""),
    "key_password": ("Password of the key", "Only where it is: ${NAME} or file:/path."),
    "known_hosts": ("Known hosts (file)", ""),
    "host_key": ("Its fingerprint", "SHA256:..., which the test shows."),
    "keepalive_s": ("Ask whether it is there every (s)", ""),
}  # fmt: skip
SHOWN = {
    "dicom": ("host", "port", "called_ae", "calling_ae", "concurrency", "tls", "comment"),
    "dicomweb": ("url", "token", "user", "password", "concurrency", "comment"),
    "folder": ("path", "layout", "create", "mounted", "comment"),
    "s3": ("bucket", "endpoint", "region", "credentials", "access_key", "secret_key", "layout", "comment"),
    "sftp": ("host", "port", "user", "path", "layout", "key_file", "password", "host_key", "comment"),
}
GROUP = {
    "mode": (
        "Mode",
        "Failover: the first member that works. Balance: the least loaded. Sticky: the same one for a patient.",
    ),
    "members": ("Members", "In their order."),
    "sticky_by": ("Sticky: what stays together", ""),
    "patience_s": ("Wait for a member that fails (s)", "Then a delivery begins anew at another one."),
    "comment": ("Comment", ""),
}
STATES = {
    "up": ("ok", "up"), "failing": ("bad", "down"), "paused": ("held", "paused"), "removed": ("off", "removed"),
}  # fmt: skip
RUNGS = {
    "name": "Name", "tcp": "TCP", "tls": "TLS", "association": "Association", "contexts": "Presentation contexts",
    "echo": "C-ECHO", "settings": "Settings",
}  # fmt: skip
