/** Runs of a model over prompts, and pairs of them, as attribution and patching read them. */
package obsprop.analysis.runs;
