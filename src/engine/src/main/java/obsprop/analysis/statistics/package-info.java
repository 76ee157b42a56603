/** Small statistics on the host, in double: running moments, bootstraps, histograms, AUC. Nothing here knows a model. */
package obsprop.analysis.statistics;
