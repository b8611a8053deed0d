"""Settings: what wins, what is refused, and that no message holds a secret."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lineage_pipeline.errors import SettingsError
from lineage_pipeline.settings import Settings, load_settings, without_settings
from lineage_pipeline.settings_file import MAX_CONFIG_BYTES


def write(folder: Path, text: str, name: str = "lineage.yaml") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def loaded(folder: Path, text: str, **environ: str) -> Settings:
    return load_settings(environ, write(folder, text))


def refused(folder: Path, text: str, **environ: str) -> str:
    with pytest.raises(SettingsError) as caught:
        loaded(folder, text, **environ)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# --- without a file


def test_without_anything_the_defaults_are_those_of_the_contract(tmp_path: Path) -> None:
    settings = load_settings({}, cwd=tmp_path)
    topic = settings.topic()
    assert (topic.name, topic.group, topic.isolation) == ("lineage-input", "flink-lineage", "read_committed")
    assert (settings.rate_per_sec, settings.checkpoint_interval, settings.settle_seconds(topic)) == (10, 60, 180)
    assert topic.paths.model_dump() == {
        "output": "s3://flink-data/output",
        "offset_index": "s3://flink-data/offset-index",
        "quarantine": "s3://flink-data/quarantine",
        "audit": "s3://flink-data/audit",
        "checkpoints": "s3://flink-data/checkpoints",
    }


def test_every_variable_of_the_contract_arrives(tmp_path: Path) -> None:
    environ = {
        "KAFKA_BOOTSTRAP_SERVERS": "b:1",
        "KAFKA_TOPIC": "orders",
        "OUTPUT_PATH": "/o",
        "OFFSET_INDEX_PATH": "/i",
        "QUARANTINE_PATH": "/q",
        "AUDIT_PATH": "/a",
        "CHECKPOINT_PATH": "/c",
        "RATE_PER_SEC": "2.5",
        "CHECKPOINT_INTERVAL": "7",
        "FLINK_REST_URL": "http://flink:8081",
        "AWS_ENDPOINT_URL": "http://s3",
        "AWS_SECRET_ACCESS_KEY": "canary",
    }
    settings = load_settings(environ, cwd=tmp_path)
    topic = settings.topic("orders")
    assert settings.kafka.bootstrap_servers == "b:1"
    assert list(topic.paths.model_dump().values()) == ["/o", "/i", "/q", "/a", "/c"]
    assert (settings.rate_per_sec, settings.checkpoint_interval) == (2.5, 7)
    assert settings.flink_rest_url == "http://flink:8081"
    assert settings.aws["AWS_ENDPOINT_URL"].get_secret_value() == "http://s3"
    assert "canary" not in repr(settings)


def test_an_empty_variable_counts_as_not_set(tmp_path: Path) -> None:
    settings = load_settings({"RATE_PER_SEC": "", "KAFKA_BOOTSTRAP_SERVERS": "", "AWS_REGION": ""}, cwd=tmp_path)
    assert (settings.rate_per_sec, settings.kafka.bootstrap_servers, settings.aws) == (10, "localhost:9092", {})


def test_an_empty_topic_variable_counts_as_not_set(tmp_path: Path) -> None:
    assert load_settings({"KAFKA_TOPIC": ""}, cwd=tmp_path).topic().name == "lineage-input"
    assert loaded(tmp_path, "topics: [{name: orders}]", KAFKA_TOPIC="").topic().name == "orders"


# --- which file


def test_files_are_looked_for_in_their_order(tmp_path: Path) -> None:
    def rate(environ: dict[str, str], config: Path | None = None) -> float:
        return load_settings(environ, config, cwd=tmp_path).rate_per_sec

    assert rate({}) == 10
    write(tmp_path, "rate_per_sec: 1", ".lineage/lineage.yaml")
    assert rate({}) == 1
    write(tmp_path, "rate_per_sec: 2")
    assert rate({}) == 2
    named = {"LINEAGE_CONFIG": str(write(tmp_path, "rate_per_sec: 3", "three.yaml"))}
    assert rate(named) == 3
    four = write(tmp_path, "rate_per_sec: 4", "four.yaml")
    assert rate(named, four) == 4
    assert rate({**named, "RATE_PER_SEC": "5"}, four) == 5


@pytest.mark.parametrize("by_variable", [True, False])
def test_a_named_file_that_is_not_there_is_never_replaced_by_another(tmp_path: Path, by_variable: bool) -> None:
    write(tmp_path, "rate_per_sec: 2")
    environ = {"LINEAGE_CONFIG": "nowhere.yaml"} if by_variable else {}
    with pytest.raises(SettingsError, match=r"nowhere\.yaml does not exist: check --config or LINEAGE_CONFIG"):
        load_settings(environ, None if by_variable else Path("nowhere.yaml"), cwd=tmp_path)


def test_a_file_that_is_too_large_is_refused_unread(tmp_path: Path) -> None:
    said = refused(tmp_path, "#" * (MAX_CONFIG_BYTES + 1))
    assert f"larger than {MAX_CONFIG_BYTES} bytes" in said


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: [", "cannot be read as YAML"),
        ("[]", "must hold a mapping such as `topics: [...]`, not list"),
        ("just text", "not str"),
        ("topics: orders", "`topics` must be a list of mappings"),
        ("topics: [orders]", "`topics` must be a list of mappings"),
        ("topics: [{name: a, paths: /x}]", "topic 'a': `paths` must be a mapping"),
        ("topics: [{group: g}]", "topics.0.name"),
        ("topics: [{name: [a]}]", "topics.0.name"),
        ("topics: [{name: {a: b}}]", "topics.0.name"),
        ("topics: [{name: 'a b'}]", "'a b' is not a Kafka topic name"),
        ("topics: [{name: ..}]", "'..' is not a Kafka topic name"),
        ("topics: [{name: a}, {name: a}]", "twice"),
        ("kafka: {properties: [a]}", "kafka.properties must be a mapping"),
        ("kafka: localhost", "kafka"),
        ("rate_per_sec: 0", "`rate_per_sec` is 0: Input should be greater than 0"),
        ("rate_per_sec: .inf", "`rate_per_sec`"),
        ("rate_per_sec: .nan", "`rate_per_sec`"),
        ("checkpoint_interval: 0", "`checkpoint_interval`"),
        ("checkpoint_interval: .inf", "`checkpoint_interval`"),
        ("topics: [{name: a, format: xml}]", "`topics.0.format`"),
        ("topics: [{name: a, baseline: latest}]", "topics.0.baseline"),
        ("topics: [{name: a, baseline: {0: -1}}]", "topics.0.baseline"),
        ("topics: [{name: a, baseline: {-1: 0}}]", "topics.0.baseline"),
        ("topics: [{name: a, settle: 0}]", "`topics.0.settle`"),
        ("topics: [{name: a, audit: {books: [sales]}}]", "`topics.0.audit.books.0`"),
        ("topics: [{name: a, audit: {every: 1}}]", "`topics.0.audit.every`"),
        ("topics: []", "`topics` must be a list of mappings"),
        ("topics:", "`topics` must be a list of mappings"),
        ("topics: {}", "`topics` must be a list of mappings"),
        ("topics: [{name: a}]\nlake: /x\ntopics: [{name: b}]", "the key `topics` stands there twice"),
        ("topics: [{name: a, name: b}]", "the key `name` stands there twice"),
        ("lake:", "`lake` must be s3://bucket, file:///dir or a plain directory, not None"),
        ("lake: ' '", "`lake` must be"),
        ("lake: [a]", "`lake` must be"),
        ("kafka: []", "`kafka` must be a mapping"),
        ("kafka: {bootstrap_servers: ' '}", "`kafka.bootstrap_servers`: ' ' is blank"),
        ("kafka: {properties: {a: [1]}}", "kafka.properties.a must be one value, not a list"),
        ("kafka: {properties: {a: }}", "kafka.properties.a must be one value, not nothing"),
        ("kafka: {properties: {a: {env: A, file: B}}}", "kafka.properties.a needs `env: NAME` or `file: PATH`"),
        ("checkpoint_interval: 1e308", "`checkpoint_interval` is '1e308': Input should be less than"),
        ("topics: [{name: a, settle: 99999999999999999999}]", "`topics.0.settle` is 99999999999999999999: "),
        ("topics: [{name: a, max_delay: 99999999999999999999}]", "`topics.0.max_delay` is 99999999999999999999: "),
        ("topics: [{name: a, retention: {data_days: 99999999}}]", "`topics.0.retention.data_days` is 99999999: "),
        ("topics: [{name: a, baseline: {0: 9223372036854775807}}]", "an offset for each partition"),
        ("topics: [{name: a, baseline: {2147483648: 0}}]", "an offset for each partition"),
        ("topics: [{name: a, baseline: {x: 0}}]", "`topics.0.baseline`: write `earliest`, `seeded` or an offset"),
        ("topics: [{name: a, settle: yes}]", "`topics.0.settle`: true is no number"),
        ("topics: [{name: a, retention: {data_days: true}}]", "true is no number"),
        ("rate_per_sec: true", "`rate_per_sec`: true is no number"),
        ("topics: [{name: a, group: ''}]", "`topics.0.group`: '' is blank"),
        ("topics: [{name: a, owners: [streaming]}]", "'streaming' is no owner: write an e-mail address, or team:NAME"),
        ("topics: [{name: a, paths: {output: ''}}]", "`topics.0.paths.output`: '' is blank"),
        ("topics: [{name: a, audit: {books: []}}]", "[] lacks the index"),
        ("topics: [{name: a, audit: {books: [broker]}}]", "[broker] lacks the index, by which every audit goes"),
        ("topics: [{name: a, audit: {every: 99999999999}}]", "`topics.0.audit.every` is 99999999999: "),
        ("topics: [{name: a, lake_files: {every: 99999999999}}]", "`topics.0.lake_files.every` is 99999999999: "),
        ("topics: [{name: a, lake_files: {evry: 60}}]", "did you mean `every`?"),
        ("!!python/object/apply:os.system ['true']", "cannot be read as YAML"),
    ],
)
def test_nonsense_is_refused_in_one_sentence(tmp_path: Path, text: str, words: str) -> None:
    assert words in refused(tmp_path, text)


def test_the_stacks_own_file_may_be_gone_with_its_directory(tmp_path: Path) -> None:
    (tmp_path / ".lineage").mkdir()
    (tmp_path / ".lineage" / "lineage.yaml").symlink_to("demo/lineage.yaml")
    assert load_settings({}, cwd=tmp_path).topic().name == "lineage-input"


def test_a_merged_mapping_may_set_a_key_anew(tmp_path: Path) -> None:
    text = "topics: [&a {name: a, settle: 5, group: g}, &b {<<: *a, name: b}, {<<: *b, name: c, settle: 6}]"
    topics = loaded(tmp_path, text).topics
    assert [(one.name, one.settle, one.group) for one in topics] == [
        ("a", 5, "g"),
        ("b", 5, "g"),
        ("c", 6, "g"),
    ]


@pytest.mark.parametrize(
    ("name", "value", "what"),
    [
        ("RATE_PER_SEC", "60s", " is '60s': Input should be a valid number"),
        ("RATE_PER_SEC", "abc", " is 'abc': Input should be a valid number"),
        ("CHECKPOINT_INTERVAL", "-1", " is '-1': "),
        ("KAFKA_BOOTSTRAP_SERVERS", " ", ": ' ' is blank"),
        ("KAFKA_TOPIC", "a b", ": 'a b' is not a Kafka topic name"),
    ],
)
def test_a_bad_variable_is_named_though_there_is_a_settings_file(
    tmp_path: Path, name: str, value: str, what: str
) -> None:
    said = refused(tmp_path, "rate_per_sec: 1\ncheckpoint_interval: 1", **{name: value})
    assert said.startswith(f"{name}{what}")


@pytest.mark.parametrize("by_name", [True, False])
@pytest.mark.parametrize("kind", ["directory", "link to nothing"])
def test_a_settings_file_that_is_none_is_never_passed_over(tmp_path: Path, kind: str, by_name: bool) -> None:
    path = tmp_path / "lineage.yaml"
    if kind == "directory":
        path.mkdir()
    else:
        path.symlink_to("nowhere")
    with pytest.raises(SettingsError, match=r"lineage\.yaml is (no file|a link to nothing): remove it"):
        load_settings({}, path if by_name else None, cwd=tmp_path)


def test_an_empty_file_is_refused_rather_than_taken_for_the_defaults(tmp_path: Path) -> None:
    assert "must hold a mapping" in refused(tmp_path, "")


@pytest.mark.parametrize(
    ("text", "where", "nearest"),
    [
        ("topic: []", "topic", "topics"),
        ("lakes: /x", "lakes", "lake"),
        ("kafka: {bootstrap_server: x}", "kafka.bootstrap_server", "bootstrap_servers"),
        ("topics: [{name: a, isolaton: read_committed}]", "topics.0.isolaton", "isolation"),
        ("topics: [{name: a, shema: x}]", "topics.0.shema", "schema"),
        ("topics: [{name: a, key_fromat: raw}]", "topics.0.key_fromat", "key_format"),
        ("topics: [{name: a, header: true}]", "topics.0.header", "headers"),
        ("topics: [{name: a, paths: {offset-index: x}}]", "topics.0.paths.offset-index", "offset_index"),
        ("topics: [{name: a, audit: {evry: 60}}]", "topics.0.audit.evry", "every"),
        ("topics: [{name: a, retention: {data_day: 60}}]", "topics.0.retention.data_day", "data_days"),
    ],
)
def test_an_unknown_key_is_refused_with_the_nearest_known_one(
    tmp_path: Path, text: str, where: str, nearest: str
) -> None:
    assert f"unknown key `{where}`: did you mean `{nearest}`?" in refused(tmp_path, text)


HOOK = "{name: hook, webhook: {env: HOOK}}"


@pytest.mark.parametrize(
    ("alerts", "said"),
    [
        ("{chanels: []}", "unknown key `alerts.chanels`: did you mean `channels`?"),
        (
            "{channels: [{name: hook, webhook: {env: HOOK}, level: []}]}",
            "unknown key `alerts.channels.0.level`: did you mean `levels`?",
        ),
        ("{channels: [{name: hook, webhook: {envv: X}}]}", "`alerts.channels.0.webhook.envv`: did you mean `env`?"),
        ("{remind_after: 1.0e+300}", "`alerts.remind_after` is 1e+300: Input should be less"),
        ("{channels: [{name: x}]}", "needs either `webhook` or `apprise`"),
        ("{channels: [{name: x, webhook: 'https://secret.example'}]}", "`alerts.channels.0.webhook`"),
        (f"{{channels: [{HOOK}, {HOOK}]}}", "the same name"),
    ],
)
def test_alerts_that_dagster_could_not_use_are_refused_by_every_command_without_their_values(
    tmp_path: Path, alerts: str, said: str
) -> None:
    told = refused(tmp_path, f"alerts: {alerts}")
    assert said in told
    assert "secret.example" not in told


def test_a_mistyped_key_is_told_rather_than_the_right_one_that_lacks(tmp_path: Path) -> None:
    said = refused(tmp_path, "topics: [{nme: orders, settle: 0}]")
    assert "unknown key `topics.0.nme`: did you mean `name`?" in said


def test_an_unknown_key_like_no_other_is_refused_with_all_known_ones(tmp_path: Path) -> None:
    said = refused(tmp_path, "topics: [{name: a, paths: {zzz: x}}]")
    assert "known: output, offset_index, quarantine, audit, checkpoints" in said


@pytest.mark.parametrize("name", ["KAFKA_TOPIC", "KAFKA_BOOTSTRAP_SERVERS", "OFFSET_INDEX_PATH"])
def test_the_embedded_stack_is_not_meant_when_the_environment_names_another_pipeline(tmp_path: Path, name: str) -> None:
    write(tmp_path / ".lineage", "lake: /embedded\ntopics: [{name: demo}]")
    assert load_settings({}, cwd=tmp_path).topic().name == "demo"
    assert load_settings({name: "other"}, cwd=tmp_path).topic().paths.output == "s3://flink-data/output"


# --- topics


SEVERAL = "topics: [{name: orders}, {name: clicks}]"


def test_with_several_topics_the_variable_selects_one(tmp_path: Path) -> None:
    assert loaded(tmp_path, SEVERAL, KAFKA_TOPIC="clicks").topic().name == "clicks"


def test_with_several_topics_and_no_choice_the_known_ones_are_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"\(orders, clicks\): choose one with --topic or KAFKA_TOPIC"):
        loaded(tmp_path, SEVERAL).topic()


def test_a_selected_topic_that_is_not_configured_is_refused(tmp_path: Path) -> None:
    assert "KAFKA_TOPIC=click is not among the topics" in refused(tmp_path, SEVERAL, KAFKA_TOPIC="click")
    with pytest.raises(SettingsError, match=r"'click' is not configured: did you mean `clicks`\?"):
        loaded(tmp_path, SEVERAL).topic("click")


def test_an_empty_name_is_no_topic_and_never_the_one_that_is_there(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="topic '' is not configured"):
        loaded(tmp_path, "topics: [{name: orders}]").topic("")


def test_paths_of_the_environment_need_one_selected_topic(tmp_path: Path) -> None:
    assert "choose the topic with KAFKA_TOPIC" in refused(tmp_path, SEVERAL, OUTPUT_PATH="/o")
    chosen = loaded(tmp_path, SEVERAL, OUTPUT_PATH="/o", KAFKA_TOPIC="orders").topic()
    assert chosen.paths.output == "/o"


def test_paths_come_from_the_lake_the_topic_and_the_environment_in_rising_order(tmp_path: Path) -> None:
    text = "lake: /lake/\ntopics: [{name: a, paths: {audit: /own/audit, output: /own/output}}]"
    paths = loaded(tmp_path, text, OUTPUT_PATH="/env").topic().paths
    assert (paths.offset_index, paths.audit, paths.output) == ("/lake/offset-index", "/own/audit", "/env")


def test_a_tilde_is_the_home_folder_for_every_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ada")
    paths = loaded(tmp_path, "lake: ~/lake\ntopics: [{name: t, paths: {audit: '~/kept', quarantine: 's3://b/~/q'}}]")
    assert paths.topic().paths.model_dump() == {
        "output": "/home/ada/lake/output",
        "offset_index": "/home/ada/lake/offset-index",
        "quarantine": "s3://b/~/q",
        "audit": "/home/ada/kept",
        "checkpoints": "/home/ada/lake/checkpoints",
    }
    assert loaded(tmp_path, "topics: [{name: t}]", OUTPUT_PATH="~").topic().paths.output == "/home/ada"
    assert "write the path out" in refused(tmp_path, "lake: ~nobody-of-this-name/lake\ntopics: [{name: t}]")


def test_a_key_schema_is_looked_for_beside_the_settings_file_and_nothing_is_asked_for_by_itself(tmp_path: Path) -> None:
    path = write(tmp_path / "deep", "topics: [{name: a, key_format: avro, key_schema: k.avsc}, {name: b}]")
    settings = load_settings({}, path)
    assert settings.topic("a").key_schema == tmp_path / "deep" / "k.avsc"
    other = settings.topic("b")
    assert (other.key_format, other.key_schema, other.headers, other.needs_registry) == (None, None, False, False)


def test_a_schema_is_looked_for_beside_the_settings_file(tmp_path: Path) -> None:
    path = write(tmp_path / "deep", "topics: [{name: a, schema: schemas/event.avsc}, {name: b, schema: /abs/x.avsc}]")
    settings = load_settings({}, path)
    assert settings.topic("a").record_schema == tmp_path / "deep" / "schemas" / "event.avsc"
    assert settings.topic("b").record_schema == Path("/abs/x.avsc")


def test_settle_is_the_topics_own_or_three_checkpoint_intervals(tmp_path: Path) -> None:
    settings = loaded(tmp_path, "checkpoint_interval: 5\ntopics: [{name: a, settle: 7}, {name: b}]")
    assert settings.settle_seconds(settings.topic("a")) == 7
    assert settings.settle_seconds(settings.topic("b")) == 15


def test_a_baseline_may_be_given_per_partition(tmp_path: Path) -> None:
    assert loaded(tmp_path, "topics: [{name: a, baseline: {0: 10, 1: 0}}]").topic().baseline == {0: 10, 1: 0}


# --- secrets


def properties(settings: Settings) -> dict[str, str]:
    return {key: value.get_secret_value() for key, value in settings.kafka.properties.items()}


def test_secrets_come_from_the_environment_or_a_file_and_are_masked(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("canary-file\n", encoding="utf-8")
    text = f"kafka: {{properties: {{sasl.password: {{env: PW}}, ssl.key.password: {{file: {tmp_path / 'key'}}}}}}}"
    settings = loaded(tmp_path, text, PW="canary-env")
    assert properties(settings) == {"sasl.password": "canary-env", "ssl.key.password": "canary-file"}
    assert "canary" not in repr(settings)
    assert "canary" not in settings.model_dump_json()
    assert set(settings.secrets()) == {"canary-env", "canary-file"}


@pytest.mark.parametrize(
    "key",
    [
        "sasl.password",
        "ssl.key.password",
        "ssl.keystore.password",
        "sasl.jaas.config",
        "sasl.oauthbearer.client.secret",
        "sasl.oauthbearer.assertion.private.key.passphrase",
        "sasl.oauthbearer.assertion.private.key.pem",
        "ssl.key.pem",
        "ssl.keystore.key",
    ],
)
def test_a_secret_that_is_written_out_is_refused_without_repeating_it(tmp_path: Path, key: str) -> None:
    said = refused(tmp_path, f"kafka: {{properties: {{{key}: canary}}}}")
    assert f"kafka.properties.{key} is written out: refer to it instead" in said
    assert "canary" not in said


@pytest.mark.parametrize("key", ["sasl.oauthbearer.token.endpoint.url", "ssl.key.location", "sasl.mechanism"])
def test_what_is_no_secret_may_be_written_out(tmp_path: Path, key: str) -> None:
    assert properties(loaded(tmp_path, f"kafka: {{properties: {{{key}: value}}}}")) == {key: "value"}


def test_what_was_given_by_reference_is_a_secret_whatever_its_name(tmp_path: Path) -> None:
    text = "kafka: {properties: {sasl.username: {env: WHO}, sasl.mechanism: PLAIN}}"
    assert loaded(tmp_path, text, WHO="canary").secrets() == ("canary",)


def test_references_to_nothing_name_what_is_missing(tmp_path: Path) -> None:
    assert "the environment variable PW is not set" in refused(tmp_path, "kafka: {properties: {x: {env: PW}}}")
    missing = tmp_path / "none"
    assert f"{missing} cannot be read" in refused(tmp_path, f"kafka: {{properties: {{x: {{file: {missing}}}}}}}")
    assert "needs `env: NAME` or `file: PATH`" in refused(tmp_path, "kafka: {properties: {x: {}}}")
    said = refused(tmp_path, "kafka: {properties: {x: {env: A, vault: canary}}}", A="a")
    assert "a reference is `{env: NAME}` or `{file: PATH}`" in said
    assert "canary" not in said


def test_a_secret_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(b"\xff\xfe\x00")
    assert "cannot be read" in refused(tmp_path, f"kafka: {{properties: {{x: {{file: {tmp_path / 'key'}}}}}}}")


@pytest.mark.parametrize(
    "text",
    [
        "topics: [{name: a, owners: canary}]",
        "rate_per_sec: [canary]",
        "schema_registry: {url: http://r, max_wait: canary}",
        "schema_registry: {url: http://r, properties: canary}",
        "schema_registry: {url: http://r, properties: {proxy: [canary]}}",
        "kafka: {bootstrap_servers: [canary]}",
    ],
)
def test_messages_leave_out_the_values_that_were_refused(tmp_path: Path, text: str) -> None:
    assert "canary" not in refused(tmp_path, text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("rate_per_sec: fast", "`rate_per_sec` is 'fast': Input should be a valid number"),
        ("topics: [{name: a, isolation: read_comitted}]", "`topics.0.isolation` is 'read_comitted': Input should be"),
        ("topics: [{name: a, format: avroo}]", "`topics.0.format` is 'avroo': Input should be 'avro', "),
        ("topics: [{name: a, settle: fast}]", "`topics.0.settle` is 'fast': Input should be a valid integer"),
        ("topics: [{name: a, headers: maybe}]", "`topics.0.headers` is 'maybe': Input should be a valid boolean"),
        (f"rate_per_sec: {'x' * 41}", f"`rate_per_sec` is '{'x' * 40}...': Input"),
    ],
)
def test_what_should_be_a_number_or_one_of_some_words_is_shown(tmp_path: Path, text: str, words: str) -> None:
    assert words in refused(tmp_path, text)


def test_yaml_booleans_become_what_kafka_clients_read(tmp_path: Path) -> None:
    assert properties(loaded(tmp_path, "kafka: {properties: {enable.idempotence: true, retries: 3}}")) == {
        "enable.idempotence": "true",
        "retries": "3",
    }


def test_a_yaml_bomb_is_refused_before_it_grows(tmp_path: Path) -> None:
    levels = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    levels += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    said = refused(tmp_path, "\n".join(levels))
    assert re.search(r"unknown key|alias", said)


def test_an_environment_without_settings_keeps_all_that_is_not_ours() -> None:
    ours = {"KAFKA_TOPIC": "t", "OUTPUT_PATH": "/o", "LINEAGE_CONFIG": "x", "AWS_REGION": "r", "RATE_PER_SEC": "1"}
    others = {"PATH": "/bin", "KAFKA_PASSWORD": "p", "HOME": "/h"}
    assert without_settings({**ours, **others}) == others
