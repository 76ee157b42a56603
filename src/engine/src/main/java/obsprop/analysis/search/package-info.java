/** Search for the paths that matter. */
package obsprop.analysis.search;
