-- The list of packages is read in the order of names and stops after a page.
CREATE INDEX package_named ON package (name, ecosystem);
DROP INDEX package_name;
