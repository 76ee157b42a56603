/**
 * Feature scores {@code y . x} of every token of a corpus: one pass for all vectors, bounded memory, resumable. Each vector
 * is scored on the residual stream of its own site. (The authors' notebook scores vectors of layers 17, 15 and 13 on the
 * input of layer 6.)
 */
package obsprop.analysis.scores;
