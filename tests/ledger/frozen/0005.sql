BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0005');
CREATE TABLE alert (
	node VARCHAR(255) NOT NULL, 
	alert VARCHAR(255) NOT NULL, 
	text TEXT, 
	raised DOUBLE, 
	cleared DOUBLE, severity VARCHAR(64), about VARCHAR(255), count BIGINT, acknowledged DOUBLE, "by" VARCHAR(255), note TEXT, 
	CONSTRAINT alert_pkey PRIMARY KEY (node, alert)
);
INSERT INTO "alert" VALUES('node1','alert1','text1',1800000001.25,1800000001.25,'severity1','about1',1,1800000001.25,'by1','note1');
INSERT INTO "alert" VALUES('node1','alert2','text2',1800000002.25,1800000002.25,'severity2','about2',2,1800000002.25,'by2','note2');
INSERT INTO "alert" VALUES('node1','alert3','text3',1800000003.25,1800000003.25,'severity3','about3',3,1800000003.25,'by3','note3');
CREATE TABLE alert_episode (
	node VARCHAR(255) NOT NULL, 
	alert VARCHAR(255) NOT NULL, 
	raised DOUBLE NOT NULL, 
	text TEXT, 
	cleared DOUBLE, 
	severity VARCHAR(64), 
	about VARCHAR(255), 
	count BIGINT, 
	acknowledged DOUBLE, 
	"by" VARCHAR(255), 
	note TEXT, 
	CONSTRAINT alert_episode_pkey PRIMARY KEY (node, alert, raised)
);
INSERT INTO "alert_episode" VALUES('node1','alert1',1800000001.25,'text1',1800000001.25,'severity1','about1',1,1800000001.25,'by1','note1');
INSERT INTO "alert_episode" VALUES('node1','alert2',1800000002.25,'text2',1800000002.25,'severity2','about2',2,1800000002.25,'by2','note2');
INSERT INTO "alert_episode" VALUES('node1','alert3',1800000003.25,'text3',1800000003.25,'severity3','about3',3,1800000003.25,'by3','note3');
CREATE TABLE arrival (
	node VARCHAR(255) NOT NULL, 
	arrival BIGINT NOT NULL, 
	calling_ae VARCHAR(64), 
	called_ae VARCHAR(64), 
	study_uid VARCHAR(64), 
	series_uid VARCHAR(64), 
	addendum_of BIGINT, 
	modality VARCHAR(64), 
	state VARCHAR(64), 
	since DOUBLE, 
	reason TEXT, 
	opened DOUBLE, 
	completed DOUBLE, 
	why VARCHAR(255), 
	images BIGINT, 
	bytes BIGINT, 
	decided DOUBLE, 
	decision BIGINT, 
	revision BIGINT, 
	outcome VARCHAR(64), 
	targets JSON, 
	rules JSON, 
	command BIGINT, 
	delivered DOUBLE, 
	deleted DOUBLE, 
	headers JSON, 
	patient_id VARCHAR(255), 
	patient_folded VARCHAR(255), 
	accession VARCHAR(255), erased DOUBLE, 
	CONSTRAINT arrival_pkey PRIMARY KEY (node, arrival)
);
INSERT INTO "arrival" VALUES('node1',1,'calling_ae1','called_ae1','study_uid1','series_uid1',1,'modality1','state1',1800000001.25,'reason1',1800000001.25,1800000001.25,'why1',1,1,1800000001.25,1,1,'outcome1','["pacs"]','["everything","archive"]',1,1800000001.25,1800000001.25,'{"PatientID":"P1","deep":[1,2.5,null,"ä"]}','patient_id1','patient_folded1','accession1',1800000001.25);
INSERT INTO "arrival" VALUES('node1',2,'calling_ae2','called_ae2','study_uid2','series_uid2',2,'modality2','state2',1800000002.25,'reason2',1800000002.25,1800000002.25,'why2',2,2,1800000002.25,2,2,'outcome2','["pacs"]','["everything","archive"]',2,1800000002.25,1800000002.25,'{"PatientID":"P2","deep":[1,2.5,null,"ä"]}','patient_id2','patient_folded2','accession2',1800000002.25);
INSERT INTO "arrival" VALUES('node1',3,'calling_ae3','called_ae3','study_uid3','series_uid3',3,'modality3','state3',1800000003.25,'reason3',1800000003.25,1800000003.25,'why3',3,3,1800000003.25,3,3,'outcome3','["pacs"]','["everything","archive"]',3,1800000003.25,1800000003.25,'{"PatientID":"P3","deep":[1,2.5,null,"ä"]}','patient_id3','patient_folded3','accession3',1800000003.25);
CREATE TABLE arrival_rule (
	node VARCHAR(255) NOT NULL, 
	arrival BIGINT NOT NULL, 
	rule VARCHAR(64) NOT NULL, 
	time DOUBLE, 
	CONSTRAINT arrival_rule_pkey PRIMARY KEY (node, arrival, rule)
);
INSERT INTO "arrival_rule" VALUES('node1',1,'archive',1800000001.25);
INSERT INTO "arrival_rule" VALUES('node1',2,'archive',1800000002.25);
INSERT INTO "arrival_rule" VALUES('node1',3,'archive',1800000003.25);
CREATE TABLE association (
	node VARCHAR(255) NOT NULL, 
	association VARCHAR(64) NOT NULL, 
	calling_ae VARCHAR(64), 
	called_ae VARCHAR(64), 
	address VARCHAR(255), 
	state VARCHAR(64), 
	opened DOUBLE, 
	closed DOUBLE, 
	images BIGINT, 
	bytes BIGINT, 
	CONSTRAINT association_pkey PRIMARY KEY (node, association)
);
INSERT INTO "association" VALUES('node1','association1','calling_ae1','called_ae1','address1','state1',1800000001.25,1800000001.25,1,1);
INSERT INTO "association" VALUES('node1','association2','calling_ae2','called_ae2','address2','state2',1800000002.25,1800000002.25,2,2);
INSERT INTO "association" VALUES('node1','association3','calling_ae3','called_ae3','address3','state3',1800000003.25,1800000003.25,3,3);
CREATE TABLE cursor (
	node VARCHAR(255) NOT NULL, 
	consumer VARCHAR(64) NOT NULL, 
	epoch BIGINT NOT NULL, 
	seq BIGINT NOT NULL, 
	time DOUBLE NOT NULL, 
	CONSTRAINT cursor_pkey PRIMARY KEY (node, consumer)
);
INSERT INTO "cursor" VALUES('node1','consumer1',1,1,1800000001.25);
INSERT INTO "cursor" VALUES('node1','consumer2',2,2,1800000002.25);
INSERT INTO "cursor" VALUES('node1','consumer3',3,3,1800000003.25);
CREATE TABLE delivery (
	node VARCHAR(255) NOT NULL, 
	delivery BIGINT NOT NULL, 
	arrival BIGINT, 
	target VARCHAR(64), 
	priority VARCHAR(64), 
	state VARCHAR(64), 
	attempts BIGINT, 
	owner VARCHAR(255), 
	images BIGINT, 
	bytes BIGINT, 
	created DOUBLE, 
	claimed DOUBLE, 
	retry_at DOUBLE, 
	finished DOUBLE, 
	seconds DOUBLE, 
	warnings BIGINT, 
	error TEXT, 
	command BIGINT, wanted VARCHAR(64), cause VARCHAR(64), 
	CONSTRAINT delivery_pkey PRIMARY KEY (node, delivery)
);
INSERT INTO "delivery" VALUES('node1',1,1,'target1','priority1','state1',1,'owner1',1,1,1800000001.25,1800000001.25,1800000001.25,1800000001.25,1800000001.25,1,'error1',1,'wanted1','cause1');
INSERT INTO "delivery" VALUES('node1',2,2,'target2','priority2','state2',2,'owner2',2,2,1800000002.25,1800000002.25,1800000002.25,1800000002.25,1800000002.25,2,'error2',2,'wanted2','cause2');
INSERT INTO "delivery" VALUES('node1',3,3,'target3','priority3','state3',3,'owner3',3,3,1800000003.25,1800000003.25,1800000003.25,1800000003.25,1800000003.25,3,'error3',3,'wanted3','cause3');
CREATE TABLE delivery_image (
	node VARCHAR(255) NOT NULL, 
	delivery BIGINT NOT NULL, 
	receipt VARCHAR(64) NOT NULL, 
	arrival BIGINT, 
	target VARCHAR(64), 
	status INTEGER, 
	time DOUBLE, 
	CONSTRAINT delivery_image_pkey PRIMARY KEY (node, delivery, receipt)
);
INSERT INTO "delivery_image" VALUES('node1',1,'receipt1',1,'target1',1,1800000001.25);
INSERT INTO "delivery_image" VALUES('node1',2,'receipt2',2,'target2',2,1800000002.25);
INSERT INTO "delivery_image" VALUES('node1',3,'receipt3',3,'target3',3,1800000003.25);
CREATE TABLE event (
	id VARCHAR(64) NOT NULL, 
	node VARCHAR(255) NOT NULL, 
	epoch BIGINT NOT NULL, 
	seq BIGINT NOT NULL, 
	type VARCHAR(255) NOT NULL, 
	subject VARCHAR(255) NOT NULL, 
	time DOUBLE NOT NULL, 
	recorded DOUBLE NOT NULL, 
	correlation VARCHAR(255) NOT NULL, 
	causation VARCHAR(255) NOT NULL, 
	severity INTEGER NOT NULL, 
	source VARCHAR(255) NOT NULL, 
	arrival BIGINT, 
	delivery BIGINT, 
	receipt VARCHAR(64), 
	data JSON NOT NULL, 
	phi JSON, 
	flag TEXT, 
	raw BLOB, 
	CONSTRAINT event_pkey PRIMARY KEY (id)
);
INSERT INTO "event" VALUES('id1','node1',1,1,'type1','subject1',1800000001.25,1800000001.25,'correlation1','causation1',13,'source1',1,1,'receipt1','{"PatientID":"P1","deep":[1,2.5,null,"ä"]}','{"PatientID":"P1","deep":[1,2.5,null,"ä"]}','flag1',X'00FF01');
INSERT INTO "event" VALUES('id2','node1',2,2,'type2','subject2',1800000002.25,1800000002.25,'correlation2','causation2',13,'source2',2,2,'receipt2','{"PatientID":"P2","deep":[1,2.5,null,"ä"]}','{"PatientID":"P2","deep":[1,2.5,null,"ä"]}','flag2',X'00FF02');
INSERT INTO "event" VALUES('id3','node1',3,3,'type3','subject3',1800000003.25,1800000003.25,'correlation3','causation3',13,'source3',3,3,'receipt3','{"PatientID":"P3","deep":[1,2.5,null,"ä"]}','{"PatientID":"P3","deep":[1,2.5,null,"ä"]}','flag3',X'00FF03');
CREATE TABLE header (
	node VARCHAR(255) NOT NULL, 
	arrival BIGINT NOT NULL, 
	received DOUBLE, 
	share INTEGER, 
	calling_ae VARCHAR(64), 
	called_ae VARCHAR(64), 
	address VARCHAR(255), 
	source VARCHAR(255), 
	study_uid VARCHAR(64), 
	series_uid VARCHAR(64), 
	addendum_of BIGINT, 
	images BIGINT, 
	bytes BIGINT, 
	dropped JSON, 
	first BLOB, 
	columns BLOB, 
	CONSTRAINT header_pkey PRIMARY KEY (node, arrival)
);
INSERT INTO "header" VALUES('node1',1,1800000001.25,1,'calling_ae1','called_ae1','address1','source1','study_uid1','series_uid1',1,1,1,'["ImageType"]',X'00FF01',X'00FF01');
INSERT INTO "header" VALUES('node1',2,1800000002.25,2,'calling_ae2','called_ae2','address2','source2','study_uid2','series_uid2',2,2,2,'["ImageType"]',X'00FF02',X'00FF02');
INSERT INTO "header" VALUES('node1',3,1800000003.25,3,'calling_ae3','called_ae3','address3','source3','study_uid3','series_uid3',3,3,3,'["ImageType"]',X'00FF03',X'00FF03');
CREATE TABLE image (
	node VARCHAR(255) NOT NULL, 
	receipt VARCHAR(64) NOT NULL, 
	arrival BIGINT, 
	association VARCHAR(64), 
	sop_uid VARCHAR(64), 
	sop_class_uid VARCHAR(64), 
	transfer_syntax_uid VARCHAR(64), 
	bytes BIGINT, 
	digest VARCHAR(64), 
	received DOUBLE, 
	why VARCHAR(255), 
	mark VARCHAR(64), 
	twin VARCHAR(64), 
	CONSTRAINT image_pkey PRIMARY KEY (node, receipt)
);
INSERT INTO "image" VALUES('node1','receipt1',1,'association1','sop_uid1','sop_class_uid1','transfer_syntax_uid1',1,'digest1',1800000001.25,'why1','mark1','twin1');
INSERT INTO "image" VALUES('node1','receipt2',2,'association2','sop_uid2','sop_class_uid2','transfer_syntax_uid2',2,'digest2',1800000002.25,'why2','mark2','twin2');
INSERT INTO "image" VALUES('node1','receipt3',3,'association3','sop_uid3','sop_class_uid3','transfer_syntax_uid3',3,'digest3',1800000003.25,'why3','mark3','twin3');
CREATE TABLE quarantine (
	node VARCHAR(255) NOT NULL, 
	receipt VARCHAR(64) NOT NULL, 
	association VARCHAR(64), 
	calling_ae VARCHAR(64), 
	bytes BIGINT, 
	reason TEXT, 
	received DOUBLE, 
	CONSTRAINT quarantine_pkey PRIMARY KEY (node, receipt)
);
INSERT INTO "quarantine" VALUES('node1','receipt1','association1','calling_ae1',1,'reason1',1800000001.25);
INSERT INTO "quarantine" VALUES('node1','receipt2','association2','calling_ae2',2,'reason2',1800000002.25);
INSERT INTO "quarantine" VALUES('node1','receipt3','association3','calling_ae3',3,'reason3',1800000003.25);
CREATE TABLE series (
	node VARCHAR(255) NOT NULL, 
	arrival BIGINT NOT NULL, 
	received DOUBLE, 
	completed DOUBLE, 
	scanner VARCHAR(255), 
	calling_ae VARCHAR(64), 
	addendum_of BIGINT, 
	images BIGINT, 
	bytes BIGINT, 
	study_uid VARCHAR(64), 
	series_uid VARCHAR(64), 
	sop_class_uid VARCHAR(64), 
	transfer_syntax_uid VARCHAR(64), 
	modality VARCHAR(64), 
	body_part VARCHAR(64), 
	laterality VARCHAR(64), 
	protocol VARCHAR(255), 
	series_description VARCHAR(255), 
	study_description VARCHAR(255), 
	procedure VARCHAR(255), 
	manufacturer VARCHAR(255), 
	model VARCHAR(255), 
	station VARCHAR(255), 
	device_serial VARCHAR(255), 
	software VARCHAR(255), 
	institution VARCHAR(255), 
	department VARCHAR(255), 
	sequence_name VARCHAR(255), 
	scanning_sequence VARCHAR(255), 
	sequence_variant VARCHAR(255), 
	mr_acquisition VARCHAR(64), 
	contrast_agent VARCHAR(255), 
	patient_position VARCHAR(64), 
	view_position VARCHAR(64), 
	sex VARCHAR(64), 
	contrast_volume DOUBLE, 
	slice_thickness DOUBLE, 
	slice_spacing DOUBLE, 
	pixel_spacing DOUBLE, 
	field_strength DOUBLE, 
	repetition_time DOUBLE, 
	echo_time DOUBLE, 
	inversion_time DOUBLE, 
	flip_angle DOUBLE, 
	kvp DOUBLE, 
	tube_current DOUBLE, 
	exposure DOUBLE, 
	exposure_time DOUBLE, 
	pitch DOUBLE, 
	ctdivol DOUBLE, 
	dlp DOUBLE, 
	dose_area DOUBLE, 
	entrance_dose DOUBLE, 
	activity DOUBLE, 
	study_time DOUBLE, 
	series_time DOUBLE, 
	acquisition_time DOUBLE, 
	age_years DOUBLE, 
	contrast INTEGER, 
	rows BIGINT, 
	columns BIGINT, 
	frames BIGINT, 
	erased DOUBLE, 
	extra JSON, 
	CONSTRAINT series_pkey PRIMARY KEY (node, arrival)
);
INSERT INTO "series" VALUES('node1',1,1800000001.25,1800000001.25,'scanner1','calling_ae1',1,1,1,'study_uid1','series_uid1','sop_class_uid1','transfer_syntax_uid1','modality1','body_part1','laterality1','protocol1','series_description1','study_description1','procedure1','manufacturer1','model1','station1','device_serial1','software1','institution1','department1','sequence_name1','scanning_sequence1','sequence_variant1','mr_acquisition1','contrast_agent1','patient_position1','view_position1','sex1',1800000001.25,1800000001.25,1800000001.25,1800000001.25,1800000001.25,1800000001.25,1800000001.25,1800000001.25,1800000001.25,1800000001.25,1800000001.25,1800000001.25,1800000001.25,1800000001.25,1800000001.25,1800000001.25,1800000001.25,1800000001.25,1800000001.25,1800000001.25,1800000001.25,1800000001.25,1800000001.25,1,1,1,1,1800000001.25,'{"PatientID":"P1","deep":[1,2.5,null,"ä"]}');
INSERT INTO "series" VALUES('node1',2,1800000002.25,1800000002.25,'scanner2','calling_ae2',2,2,2,'study_uid2','series_uid2','sop_class_uid2','transfer_syntax_uid2','modality2','body_part2','laterality2','protocol2','series_description2','study_description2','procedure2','manufacturer2','model2','station2','device_serial2','software2','institution2','department2','sequence_name2','scanning_sequence2','sequence_variant2','mr_acquisition2','contrast_agent2','patient_position2','view_position2','sex2',1800000002.25,1800000002.25,1800000002.25,1800000002.25,1800000002.25,1800000002.25,1800000002.25,1800000002.25,1800000002.25,1800000002.25,1800000002.25,1800000002.25,1800000002.25,1800000002.25,1800000002.25,1800000002.25,1800000002.25,1800000002.25,1800000002.25,1800000002.25,1800000002.25,1800000002.25,1800000002.25,2,2,2,2,1800000002.25,'{"PatientID":"P2","deep":[1,2.5,null,"ä"]}');
INSERT INTO "series" VALUES('node1',3,1800000003.25,1800000003.25,'scanner3','calling_ae3',3,3,3,'study_uid3','series_uid3','sop_class_uid3','transfer_syntax_uid3','modality3','body_part3','laterality3','protocol3','series_description3','study_description3','procedure3','manufacturer3','model3','station3','device_serial3','software3','institution3','department3','sequence_name3','scanning_sequence3','sequence_variant3','mr_acquisition3','contrast_agent3','patient_position3','view_position3','sex3',1800000003.25,1800000003.25,1800000003.25,1800000003.25,1800000003.25,1800000003.25,1800000003.25,1800000003.25,1800000003.25,1800000003.25,1800000003.25,1800000003.25,1800000003.25,1800000003.25,1800000003.25,1800000003.25,1800000003.25,1800000003.25,1800000003.25,1800000003.25,1800000003.25,1800000003.25,1800000003.25,3,3,3,3,1800000003.25,'{"PatientID":"P3","deep":[1,2.5,null,"ä"]}');
CREATE INDEX arrival_accession ON arrival (accession);
CREATE INDEX arrival_opened ON arrival (node, opened);
CREATE INDEX arrival_patient ON arrival (patient_id);
CREATE INDEX arrival_series ON arrival (series_uid);
CREATE INDEX arrival_source ON arrival (calling_ae, opened);
CREATE INDEX arrival_study ON arrival (study_uid);
CREATE INDEX association_source ON association (calling_ae, opened);
CREATE INDEX delivery_arrival ON delivery (node, arrival);
CREATE INDEX delivery_state ON delivery (state, target, retry_at);
CREATE INDEX delivery_image_receipt ON delivery_image (node, receipt);
CREATE INDEX event_flagged ON event (node, seq) WHERE flag IS NOT NULL;
CREATE INDEX event_order ON event (node, epoch, seq);
CREATE INDEX event_serious ON event (time) WHERE severity >= 13;
CREATE INDEX image_arrival ON image (node, arrival);
CREATE INDEX image_sop ON image (sop_uid);
CREATE INDEX header_received ON header (node, received, arrival, share);
CREATE INDEX header_series ON header (node, series_uid);
CREATE INDEX arrival_described ON arrival (node, completed) WHERE headers IS NOT NULL;
CREATE INDEX event_private ON event (node, time) WHERE phi IS NOT NULL OR (raw IS NOT NULL AND type = 'arrival.completed');
CREATE INDEX delivery_target ON delivery (target, created);
CREATE INDEX delivery_wanted ON delivery (wanted, created) WHERE wanted <> target;
CREATE INDEX arrival_rule_rule ON arrival_rule (rule, time);
CREATE INDEX arrival_modality ON arrival (modality, opened);
CREATE INDEX arrival_state ON arrival (state, opened);
CREATE INDEX arrival_patient_name ON arrival (patient_folded, opened, node, arrival);
CREATE INDEX quarantine_association ON quarantine (node, association);
CREATE INDEX event_type ON event (type, time) WHERE type <> 'image.received';
CREATE INDEX event_subject ON event (subject, time) WHERE type <> 'image.received';
CREATE INDEX event_time ON event (node, time, epoch, seq);
CREATE INDEX event_arrival ON event (node, arrival, epoch, seq) WHERE arrival IS NOT NULL AND receipt IS NULL;
CREATE INDEX event_delivery ON event (node, delivery, epoch, seq) WHERE delivery IS NOT NULL;
CREATE INDEX event_receipt ON event (node, receipt, epoch, seq) WHERE receipt IS NOT NULL;
CREATE INDEX series_received ON series (received);
CREATE INDEX series_study ON series (study_uid);
CREATE INDEX series_protocol ON series (scanner, protocol, received);
CREATE INDEX series_tagged ON series (node, completed) WHERE extra IS NOT NULL;
CREATE INDEX arrival_named ON arrival (node, completed) WHERE (patient_id IS NOT NULL OR patient_folded IS NOT NULL OR accession IS NOT NULL);
CREATE INDEX arrival_gone ON arrival (node, deleted) WHERE deleted IS NOT NULL;
CREATE INDEX association_closed ON association (node, closed);
CREATE VIEW mine_series AS SELECT
  s.node, s.arrival, strftime('%Y-%m-%dT%H:%M:%SZ', s.received, 'unixepoch') AS received_at, s.received, strftime('%Y-%m-%dT%H:%M:%SZ', s.completed, 'unixepoch') AS completed_at, s.completed,
  s.scanner, s.calling_ae, s.study_uid, s.series_uid, s.addendum_of, s.images, s.bytes, a.state, a.outcome,
  strftime('%Y-%m-%dT%H:%M:%SZ', a.delivered, 'unixepoch') AS delivered_at, a.delivered, s.modality, s.body_part, s.laterality, s.protocol,
  s.series_description, s.study_description, s.procedure, s.manufacturer, s.model, s.station, s.device_serial, s.software,
  s.institution, s.department, s.sequence_name, s.scanning_sequence, s.sequence_variant, s.mr_acquisition,
  s.contrast, s.contrast_agent, s.contrast_volume, s.slice_thickness, s.slice_spacing, s.pixel_spacing, s.field_strength,
  s.repetition_time, s.echo_time, s.inversion_time, s.flip_angle, s.kvp, s.tube_current, s.exposure, s.exposure_time,
  s.pitch, s.ctdivol, s.dlp, s.dose_area, s.entrance_dose, s.activity, s.patient_position, s.view_position,
  s.rows, s.columns, s.frames, strftime('%Y-%m-%dT%H:%M:%SZ', s.study_time, 'unixepoch') AS study_at, s.study_time, strftime('%Y-%m-%dT%H:%M:%SZ', s.series_time, 'unixepoch') AS series_at,
  s.series_time, strftime('%Y-%m-%dT%H:%M:%SZ', s.acquisition_time, 'unixepoch') AS acquired_at, s.acquisition_time, s.age_years, s.sex, s.sop_class_uid,
  s.transfer_syntax_uid
FROM series s LEFT JOIN arrival a ON a.node = s.node AND a.arrival = s.arrival;
CREATE VIEW mine_studies AS SELECT
  s.node, s.study_uid, min(s.scanner) AS scanner, replace(group_concat(DISTINCT s.modality), ',', ' ') AS modalities,
  min(s.study_description) AS study_description, min(s.procedure) AS procedure, count(DISTINCT s.series_uid) AS series,
  count(*) AS arrivals, sum(s.images) AS images, sum(s.bytes) AS bytes, max(s.contrast) AS contrast,
  strftime('%Y-%m-%dT%H:%M:%SZ', min(s.received), 'unixepoch') AS received_at, min(s.received) AS received, strftime('%Y-%m-%dT%H:%M:%SZ', max(s.completed), 'unixepoch') AS completed_at,
  max(s.completed) AS completed,
  strftime('%Y-%m-%dT%H:%M:%SZ', min(s.study_time), 'unixepoch') AS study_at, min(s.study_time) AS study_time, max(s.age_years) AS age_years, min(s.sex) AS sex
FROM series s WHERE s.study_uid IS NOT NULL GROUP BY s.node, s.study_uid;
CREATE VIEW mine_deliveries AS SELECT
  d.node, d.delivery, d.arrival, d.target, d.priority, d.state, d.attempts, d.images, d.bytes, d.warnings,
  strftime('%Y-%m-%dT%H:%M:%SZ', d.created, 'unixepoch') AS created_at, d.created, strftime('%Y-%m-%dT%H:%M:%SZ', d.finished, 'unixepoch') AS finished_at, d.finished, d.seconds,
  s.scanner, s.calling_ae, s.modality, s.received, s.completed, s.acquisition_time,
  d.finished - d.created AS wait_s, d.finished - s.completed AS after_completion_s,
  s.received - s.acquisition_time AS scan_to_arrival_s, d.finished - s.acquisition_time AS scan_to_delivered_s
FROM delivery d LEFT JOIN series s ON s.node = d.node AND s.arrival = d.arrival;
CREATE VIEW mine_images_per_hour AS SELECT
  s.node, strftime('%Y-%m-%dT%H:%M:%SZ', CAST(s.received / 3600 AS INTEGER) * 3600, 'unixepoch') AS hour_at, CAST(s.received / 3600 AS INTEGER) * 3600 AS hour, s.scanner, s.modality,
  count(*) AS series, sum(s.images) AS images, sum(s.bytes) AS bytes
FROM series s WHERE s.received IS NOT NULL GROUP BY s.node, CAST(s.received / 3600 AS INTEGER), s.scanner, s.modality;
CREATE VIEW phi_series AS SELECT m.*, a.patient_id, a.patient_folded AS patient_name, a.accession, a.erased
FROM mine_series m LEFT JOIN arrival a ON a.node = m.node AND a.arrival = m.arrival;
CREATE VIEW phi_tags AS SELECT s.node, s.arrival, e.key AS tag, CAST(e.value AS TEXT) AS value FROM series s, json_each(s.extra) e WHERE s.extra IS NOT NULL;
CREATE INDEX alert_episode_raised ON alert_episode (node, raised);
COMMIT;
