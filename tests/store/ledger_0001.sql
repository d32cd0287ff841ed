BEGIN TRANSACTION;
CREATE TABLE checkpoints (
	seq INTEGER NOT NULL,
	id VARCHAR NOT NULL,
	job_id VARCHAR NOT NULL,
	created_at INTEGER NOT NULL,
	step_number INTEGER NOT NULL,
	model VARCHAR NOT NULL,
	metrics JSON NOT NULL,
	PRIMARY KEY (seq),
	UNIQUE (id)
);
INSERT INTO "checkpoints" VALUES(1,'ftckpt_1','ftjob-done',1,10,'ft:x:ckpt-step-10','{"train_loss": 0.5}');
CREATE TABLE events (
	seq INTEGER NOT NULL,
	id VARCHAR NOT NULL,
	job_id VARCHAR NOT NULL,
	created_at INTEGER NOT NULL,
	level VARCHAR NOT NULL,
	message VARCHAR NOT NULL,
	type VARCHAR NOT NULL,
	data JSON,
	PRIMARY KEY (seq),
	UNIQUE (id)
);
INSERT INTO "events" VALUES(1,'ftevent-1','ftjob-done',1,'info','created','message','null');
INSERT INTO "events" VALUES(2,'ftevent-2','ftjob-done',2,'warn','step','metrics','{"step": 1, "train_loss": 0.5}');
CREATE TABLE files (
	seq INTEGER NOT NULL,
	id VARCHAR NOT NULL,
	created_at INTEGER NOT NULL,
	bytes INTEGER NOT NULL,
	filename VARCHAR NOT NULL,
	purpose VARCHAR NOT NULL,
	sha256 VARCHAR NOT NULL,
	status VARCHAR NOT NULL,
	expires_at INTEGER,
	PRIMARY KEY (seq),
	UNIQUE (id)
);
INSERT INTO "files" VALUES(1,'file-1',1,2,'my.jsonl','fine-tune','0000000000000000000000000000000000000000000000000000000000000000','processed',NULL);
INSERT INTO "files" VALUES(2,'file-2',2,3,'old.jsonl','fine-tune','1111111111111111111111111111111111111111111111111111111111111111','error',9);
CREATE TABLE jobs (
	seq INTEGER NOT NULL,
	id VARCHAR NOT NULL,
	created_at INTEGER NOT NULL,
	model VARCHAR NOT NULL,
	training_file VARCHAR NOT NULL,
	request JSON NOT NULL,
	seed INTEGER NOT NULL,
	hyperparameters JSON NOT NULL,
	status VARCHAR NOT NULL,
	validation_file VARCHAR,
	suffix VARCHAR,
	metadata JSON,
	started_at INTEGER,
	finished_at INTEGER,
	estimated_finish INTEGER,
	fine_tuned_model VARCHAR,
	trained_tokens INTEGER,
	result_files JSON NOT NULL,
	error JSON,
	cancel_requested BOOLEAN NOT NULL,
	pid INTEGER,
	heartbeat_at INTEGER,
	PRIMARY KEY (seq),
	UNIQUE (id)
);
INSERT INTO "jobs" VALUES(1,'ftjob-done',1,'m','file-1','{"model": "m"}',7,'{"n_epochs": "auto"}','succeeded','file-2','s','{"k": "v"}',2,3,NULL,'ft:x',5,'["file-3"]','null',0,NULL,NULL);
INSERT INTO "jobs" VALUES(2,'ftjob-failed',1,'m','file-1','{"model": "m"}',7,'{"n_epochs": "auto"}','failed',NULL,NULL,'null',NULL,NULL,NULL,NULL,NULL,'[]','{"code": "c", "message": "m", "param": null}',0,NULL,NULL);
INSERT INTO "jobs" VALUES(3,'ftjob-queued',1,'m','file-1','{"model": "m"}',7,'{"n_epochs": "auto"}','queued',NULL,NULL,'{}',NULL,NULL,NULL,NULL,NULL,'[]','null',0,NULL,NULL);
INSERT INTO "jobs" VALUES(4,'ftjob-running',1,'m','file-1','{"model": "m"}',7,'{"n_epochs": "auto"}','running',NULL,NULL,'null',2,NULL,9,NULL,NULL,'[]','null',0,6,7);
INSERT INTO "jobs" VALUES(5,'ftjob-stopping',1,'m','file-1','{"model": "m"}',7,'{"n_epochs": "auto"}','running',NULL,NULL,'null',2,NULL,NULL,NULL,NULL,'[]','null',1,6,7);
CREATE TABLE models (
	seq INTEGER NOT NULL,
	name VARCHAR NOT NULL,
	created_at INTEGER NOT NULL,
	bundle VARCHAR NOT NULL,
	digest VARCHAR NOT NULL,
	base VARCHAR NOT NULL,
	owned_by VARCHAR NOT NULL,
	job_id VARCHAR,
	PRIMARY KEY (seq),
	UNIQUE (name)
);
INSERT INTO "models" VALUES(1,'ft:x',1,'folder','d','b','local','ftjob-done');
INSERT INTO "models" VALUES(2,'ft:y',2,'folder2','e','b','local',NULL);
CREATE INDEX ix_checkpoints_job_id ON checkpoints (job_id);
CREATE INDEX ix_events_job_id ON events (job_id);
COMMIT;
