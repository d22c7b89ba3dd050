BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0002');
CREATE TABLE alert (
	node VARCHAR(255) NOT NULL, 
	alert VARCHAR(255) NOT NULL, 
	text TEXT, 
	raised DOUBLE, 
	cleared DOUBLE, 
	CONSTRAINT alert_pkey PRIMARY KEY (node, alert)
);
INSERT INTO "alert" VALUES('node1','alert1','text1',1800000001.25,1800000001.25);
INSERT INTO "alert" VALUES('node1','alert2','text2',1800000002.25,1800000002.25);
INSERT INTO "alert" VALUES('node1','alert3','text3',1800000003.25,1800000003.25);
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
	accession VARCHAR(255), 
	CONSTRAINT arrival_pkey PRIMARY KEY (node, arrival)
);
INSERT INTO "arrival" VALUES('node1',1,'calling_ae1','called_ae1','study_uid1','series_uid1',1,'modality1','state1',1800000001.25,'reason1',1800000001.25,1800000001.25,'why1',1,1,1800000001.25,1,1,'outcome1','["pacs"]','["everything","archive"]',1,1800000001.25,1800000001.25,'{"PatientID":"P1","deep":[1,2.5,null,"ä"]}','patient_id1','patient_folded1','accession1');
INSERT INTO "arrival" VALUES('node1',2,'calling_ae2','called_ae2','study_uid2','series_uid2',2,'modality2','state2',1800000002.25,'reason2',1800000002.25,1800000002.25,'why2',2,2,1800000002.25,2,2,'outcome2','["pacs"]','["everything","archive"]',2,1800000002.25,1800000002.25,'{"PatientID":"P2","deep":[1,2.5,null,"ä"]}','patient_id2','patient_folded2','accession2');
INSERT INTO "arrival" VALUES('node1',3,'calling_ae3','called_ae3','study_uid3','series_uid3',3,'modality3','state3',1800000003.25,'reason3',1800000003.25,1800000003.25,'why3',3,3,1800000003.25,3,3,'outcome3','["pacs"]','["everything","archive"]',3,1800000003.25,1800000003.25,'{"PatientID":"P3","deep":[1,2.5,null,"ä"]}','patient_id3','patient_folded3','accession3');
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
	command BIGINT, 
	CONSTRAINT delivery_pkey PRIMARY KEY (node, delivery)
);
INSERT INTO "delivery" VALUES('node1',1,1,'target1','priority1','state1',1,'owner1',1,1,1800000001.25,1800000001.25,1800000001.25,1800000001.25,1800000001.25,1,'error1',1);
INSERT INTO "delivery" VALUES('node1',2,2,'target2','priority2','state2',2,'owner2',2,2,1800000002.25,1800000002.25,1800000002.25,1800000002.25,1800000002.25,2,'error2',2);
INSERT INTO "delivery" VALUES('node1',3,3,'target3','priority3','state3',3,'owner3',3,3,1800000003.25,1800000003.25,1800000003.25,1800000003.25,1800000003.25,3,'error3',3);
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
CREATE INDEX arrival_accession ON arrival (accession);
CREATE INDEX arrival_opened ON arrival (node, opened);
CREATE INDEX arrival_patient ON arrival (patient_id);
CREATE INDEX arrival_patient_name ON arrival (patient_folded);
CREATE INDEX arrival_series ON arrival (series_uid);
CREATE INDEX arrival_source ON arrival (calling_ae, opened);
CREATE INDEX arrival_state ON arrival (node, state);
CREATE INDEX arrival_study ON arrival (study_uid);
CREATE INDEX association_source ON association (calling_ae, opened);
CREATE INDEX delivery_arrival ON delivery (node, arrival);
CREATE INDEX delivery_state ON delivery (state, target, retry_at);
CREATE INDEX delivery_image_receipt ON delivery_image (node, receipt);
CREATE INDEX event_arrival ON event (node, arrival, seq) WHERE arrival IS NOT NULL;
CREATE INDEX event_delivery ON event (node, delivery, seq) WHERE delivery IS NOT NULL;
CREATE INDEX event_flagged ON event (node, seq) WHERE flag IS NOT NULL;
CREATE INDEX event_order ON event (node, epoch, seq);
CREATE INDEX event_receipt ON event (node, receipt, seq) WHERE receipt IS NOT NULL;
CREATE INDEX event_serious ON event (time) WHERE severity >= 13;
CREATE INDEX event_subject ON event (subject, time);
CREATE INDEX event_time ON event (time);
CREATE INDEX event_type ON event (type, time);
CREATE INDEX image_arrival ON image (node, arrival);
CREATE INDEX image_sop ON image (sop_uid);
CREATE INDEX header_received ON header (node, received, arrival, share);
CREATE INDEX header_series ON header (node, series_uid);
CREATE INDEX arrival_described ON arrival (node, completed) WHERE headers IS NOT NULL;
CREATE INDEX event_private ON event (node, time) WHERE phi IS NOT NULL OR (raw IS NOT NULL AND type = 'arrival.completed');
COMMIT;
