/** Vectors as classifiers of labelled texts, beside probes that are trained on them. */
package obsprop.analysis.probes;
