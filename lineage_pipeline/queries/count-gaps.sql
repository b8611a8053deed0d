-- The query everybody writes first: per partition, how many offsets lie between the first and the last, and how many
-- records the index counted. It is blind where one record is lost and another written twice: the two cancel.
SELECT kafka_partition, min(min_offset) AS first_offset, max(max_offset) AS last_offset,
  max(max_offset) - min(min_offset) + 1 AS expected, sum(record_count)::BIGINT AS actual,
  max(max_offset) - min(min_offset) + 1 - sum(record_count)::BIGINT AS gaps
FROM offset_index
GROUP BY kafka_partition
ORDER BY kafka_partition
