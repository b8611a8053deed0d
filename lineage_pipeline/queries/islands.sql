-- The exact answer in SQL: every maximal range of offsets with how often the index accounts for it (0: a gap inside).
-- A +1 where a run starts and a -1 behind its end; between two neighbouring bounds the running sum is the depth.
WITH bounds AS (
  SELECT kafka_partition, min_offset AS bound, 1 AS step FROM offset_index
  UNION ALL
  SELECT kafka_partition, max_offset + 1, -1 FROM offset_index
), depths AS (
  SELECT kafka_partition, bound AS start_offset, lead(bound) OVER w AS end_offset,
    sum(sum(step)) OVER (PARTITION BY kafka_partition ORDER BY bound)::BIGINT AS times
  FROM bounds GROUP BY kafka_partition, bound
  WINDOW w AS (PARTITION BY kafka_partition ORDER BY bound)
), numbered AS (
  SELECT *, row_number() OVER (PARTITION BY kafka_partition ORDER BY start_offset)
    - row_number() OVER (PARTITION BY kafka_partition, times ORDER BY start_offset) AS stretch
  FROM depths WHERE end_offset IS NOT NULL
)
SELECT kafka_partition, min(start_offset) AS start_offset, max(end_offset) AS end_offset, times,
  CASE times WHEN 0 THEN 'gap' WHEN 1 THEN 'indexed' ELSE 'duplicated' END AS what
FROM numbered
GROUP BY kafka_partition, times, stretch
ORDER BY kafka_partition, start_offset
