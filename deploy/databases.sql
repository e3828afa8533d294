-- One database for each service that keeps rows, for the user that the image has made.
CREATE DATABASE auth;
CREATE DATABASE storage;
CREATE DATABASE drift;
CREATE DATABASE delivery;
CREATE DATABASE registry;
GRANT ALL ON auth.* TO medseg;
GRANT ALL ON storage.* TO medseg;
GRANT ALL ON drift.* TO medseg;
GRANT ALL ON delivery.* TO medseg;
GRANT ALL ON registry.* TO medseg;
