/** Feature scores {@code y . x} of every token of a corpus: one pass for all vectors, bounded memory, resumable. */
package obsprop.analysis.scores;
